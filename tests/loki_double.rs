mod support;
fn main(){}

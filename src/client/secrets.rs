//! Our own secrets, taken out of what a server says before anybody sees it.
//!
//! A server, or a proxy before it, may repeat a request in an error, with the password in it, as it was sent or escaped.
//! Such words go to the log, to `/ready`, and perhaps into a ticket.

/// The shortest secret that is looked for (bytes). A shorter one protects nothing, and would be found in ordinary words.
const SECRET_MIN: usize = 4;
/// What stands in place of a secret.
const STARS: &str = "********";

/// Texts that nobody may see.
#[derive(Default)]
pub(super) struct Secrets(Vec<String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// Adds a secret, as it is and as it would stand in JSON and in URLs.
    pub(super) fn add(&mut self, secret: &str) {
        if secret.len() < SECRET_MIN {
            return;
        }
        let json = serde_json::Value::from(secret).to_string();
        let in_json = json.trim_start_matches('"').strip_suffix('"').unwrap_or(&json).to_owned();
        for form in [secret.to_owned(), in_json, percent_encoded(secret)] {
            if !self.0.contains(&form) {
                self.0.push(form);
            }
        }
        // A form that contains another form must be replaced first.
        self.0.sort_by_key(|form| std::cmp::Reverse(form.len()));
    }

    /// Replaces all of them by stars.
    pub(super) fn conceal(&self, text: &mut String) {
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), STARS);
            }
        }
    }
}

/// A text in which all but letters, digits and `-._~` is written as `%XX` (RFC 3986, 2.1).
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_concealed_in_every_form() {
        let mut secrets = Secrets::default();
        for secret in ["hunter2", "hunter2 and more", "a\"b\\c/d", "x"] {
            secrets.add(secret);
        }
        for (text, shown) in [
            ("password hunter2 is wrong", "password ******** is wrong"),
            ("hunter2 and more, hunter2", "********, ********"),
            (r#"{"token":"a\"b\\c/d"}"#, r#"{"token":"********"}"#),
            ("a\"b\\c/d a%22b%5Cc%2Fd x", "******** ******** x"),
            ("nothing here", "nothing here"),
        ] {
            let mut text = text.to_owned();
            secrets.conceal(&mut text);
            assert_eq!(text, shown);
        }
        assert!(!format!("{secrets:?}").contains("hunter2"));
    }
}

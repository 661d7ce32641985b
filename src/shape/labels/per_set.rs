//! What is remembered for each label set: what depends on labels alone is found out once, and then looked up by the number
//! that the label set has among [`Streams`]. So an entry pays for no look at its labels.

use logql::label_set::LabelSet;

use super::cap::Streams;

/// Something for each label set that was met. Its memory is bounded by that of [`Streams`], whose numbers it goes by.
#[derive(Debug)]
pub(crate) struct PerSet<T> {
    /// When the numbers get other meanings, all is forgotten.
    epoch: u32,
    values: Vec<Option<T>>,
}

impl<T> Default for PerSet<T> {
    fn default() -> PerSet<T> {
        PerSet { epoch: 0, values: Vec::new() }
    }
}

impl<T> PerSet<T> {
    /// What is remembered for the label set of this number; it is made when the set is met first.
    #[inline]
    pub(crate) fn get(
        &mut self,
        streams: &Streams,
        number: u32,
        make: impl FnOnce(&LabelSet) -> T,
    ) -> &mut T {
        if self.epoch != streams.epoch() {
            self.epoch = streams.epoch();
            self.values.clear();
        }
        let at = number as usize;
        if self.values.len() <= at {
            self.values.resize_with(at + 1, || None);
        }
        self.values[at].get_or_insert_with(|| make(streams.set(number)))
    }

    /// All that is remembered.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.values.iter().flatten()
    }
}

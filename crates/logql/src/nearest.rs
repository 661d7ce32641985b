//! The name that was probably meant: near a name that was written and is not known.

/// The nearest of `known` to what was written, if it is near enough to be what was meant: letter case,
/// `-` for `_`, an ending left out or added, and one typing error for each three letters.
pub fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    /// The time that a comparison takes grows with the square of this.
    const COMPARED_MAX: usize = 64;
    /// A shorter stem is shared by chance.
    const STEM_MIN: usize = 3;
    if written.len() > COMPARED_MAX {
        return None;
    }
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let written = plain(written);
    let allowed = (written.chars().count() / 3).max(1);
    let ending = |name: &str| {
        name.len().min(written.len()) >= STEM_MIN && (name.starts_with(&written) || written.starts_with(name))
    };
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&written, &plain(name)), name))
        .filter(|(distance, name)| {
            (*distance <= allowed && *distance < name.chars().count()) || ending(&plain(name))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

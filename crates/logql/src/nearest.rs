//! Guesses the name that was meant by an unknown one.

/// The name of `known` that was probably meant by `written`. It may differ in letter case, in `-` for `_`, by an ending left
/// out or added, and by one typing error for each three letters. `None` if no name is near enough.
pub fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    /// Longest name that is compared (bytes): the time of a comparison grows with its square.
    const COMPARED_MAX: usize = 64;
    /// Shortest common stem (bytes): a shorter one is shared by chance.
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

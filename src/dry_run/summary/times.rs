//! How entries are spread over time, within a bounded memory: buckets that grow with the span.

use std::collections::BTreeMap;

/// Buckets of one stream at most (count). Past it, two become one in all streams.
const BUCKETS_MAX: usize = 96;
/// The width of a bucket at the beginning (nanoseconds, as a power of two): about a second.
const FIRST_SHIFT: u32 = 30;
/// Columns of a histogram (count).
pub(super) const COLUMNS: usize = 24;
/// The bars of a histogram, by height.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The entries of one stream by their time. All streams have buckets of one width.
#[derive(Debug, Default, Clone)]
pub(super) struct Times {
    buckets: BTreeMap<i64, u64>,
}

/// The width of all buckets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Width {
    shift: u32,
}

impl Default for Width {
    fn default() -> Width {
        Width { shift: FIRST_SHIFT }
    }
}

impl Width {
    /// So wide that these fit; then the others have to be [`Times::widen`]ed.
    pub(super) fn double(&mut self) {
        self.shift += 1;
    }
}

impl Times {
    /// Counts an entry. `true`: there are too many buckets now.
    pub(super) fn add(&mut self, time_ns: i64, width: Width) -> bool {
        *self.buckets.entry(time_ns >> width.shift).or_default() += 1;
        self.buckets.len() > BUCKETS_MAX
    }

    /// Makes one bucket of two.
    pub(super) fn widen(&mut self) {
        let mut wider = BTreeMap::new();
        for (bucket, count) in std::mem::take(&mut self.buckets) {
            *wider.entry(bucket >> 1).or_default() += count;
        }
        self.buckets = wider;
    }

    /// Entries in each of [`COLUMNS`] parts of a span (nanoseconds since 1970). An entry is counted where its bucket begins.
    pub(super) fn columns(&self, (first, last): (i64, i64), width: Width) -> Vec<u64> {
        let span = i128::from(last) - i128::from(first) + 1;
        let mut columns = vec![0; COLUMNS];
        for (bucket, count) in &self.buckets {
            let begins = (i128::from(*bucket) << width.shift).max(first.into());
            let column = ((begins - i128::from(first)) * COLUMNS as i128 / span) as usize;
            if let Some(column) = columns.get_mut(column.min(COLUMNS - 1)) {
                *column += count;
            }
        }
        columns
    }
}

/// A histogram: a bar for each column, a space where there is nothing.
pub(super) fn histogram(columns: &[u64]) -> String {
    let most = columns.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: &u64| match count {
        0 => ' ',
        count => {
            let height = (count.saturating_mul(BARS.len() as u64)).div_ceil(most) as usize;
            BARS.get(height.saturating_sub(1)).copied().unwrap_or('█')
        }
    };
    columns.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_in_their_columns_whatever_the_span() {
        for span_s in [24_i64, 3_600, 86_400 * 30] {
            let (mut times, mut width) = (Times::default(), Width::default());
            let first = 1_700_000_000_000_000_000_i64;
            // Twice as many in the second half.
            let at = |part: i64| first + part * span_s * 1_000_000_000 / 480;
            for part in 0..480 {
                for _ in 0..=i64::from(part >= 240) {
                    if times.add(at(part), width) {
                        times.widen();
                        width.double();
                    }
                }
            }
            assert!(times.buckets.len() <= BUCKETS_MAX);
            let columns = times.columns((first, at(479)), width);
            assert_eq!(columns.iter().sum::<u64>(), 720);
            let (early, late): (u64, u64) = (columns[..12].iter().sum(), columns[12..].iter().sum());
            assert!(early.abs_diff(240) < 45 && late.abs_diff(480) < 45, "{span_s}: {columns:?}");
        }
        assert_eq!(histogram(&[0, 1, 4, 8]), " ▁▄█");
        assert_eq!(histogram(&[0, 0]), "  ");
    }
}

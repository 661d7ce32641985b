//! Intervals as Loki's windows have them: the beginning is exclusive, the end inclusive.

/// Nanoseconds of a second.
pub(super) const SECOND: i64 = 1_000_000_000;
/// The lengths of steps by which counts are compared, the longest first (nanoseconds). Each is a multiple of the next, and
/// windows begin at multiples of their length since 1970: a Loki that aligns questions with their step
/// (`align_queries_with_step`) changes nothing then.
pub(super) const STEPS: [i64; 3] = [3600 * SECOND, 60 * SECOND, SECOND];

/// The longest interval that a question is about: a question for more takes Loki long.
const PART_MAX: i64 = 24 * STEPS[0];

/// A time from `after`, exclusive, to `until`, inclusive (nanoseconds since 1970).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    /// The beginning.
    pub after: i64,
    /// The end.
    pub until: i64,
}

impl Interval {
    /// The whole seconds around a span (microseconds since 1970, both ends inclusive).
    pub fn around(from: u64, to: u64) -> Interval {
        const MICROS: u64 = 1_000_000;
        let seconds =
            |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX / SECOND).saturating_mul(SECOND);
        Interval { after: seconds(from / MICROS), until: seconds(to.div_ceil(MICROS)) }
    }

    /// Whether a time lies within.
    pub fn contains(self, time: i64) -> bool {
        self.after < time && time <= self.until
    }

    /// Whether no time lies within.
    pub fn is_empty(self) -> bool {
        self.until <= self.after
    }

    /// The shortest interval that holds both.
    pub(super) fn join(self, other: Interval) -> Interval {
        Interval { after: self.after.min(other.after), until: self.until.max(other.until) }
    }

    /// Its steps.
    pub(super) fn steps(self, step: i64) -> impl Iterator<Item = Interval> {
        let count = (self.until - self.after) / step.max(1);
        (0..count).map(move |n| Interval { after: self.after + n * step, until: self.after + (n + 1) * step })
    }

    /// Its halves, of whole steps. `None`: it is one step.
    pub(super) fn halves(self, step: i64) -> Option<[Interval; 2]> {
        let half = (self.until - self.after) / step.max(1) / 2 * step;
        let middle = self.after + half;
        (half > 0).then_some([
            Interval { after: self.after, until: middle },
            Interval { after: middle, until: self.until },
        ])
    }

    /// Divides an interval of whole seconds into parts of a day at most, each with the longest step whose multiples it begins and
    /// ends with.
    pub(super) fn parts(self) -> Vec<(Interval, i64)> {
        fn divide(whole: Interval, steps: &[i64], parts: &mut Vec<(Interval, i64)>) {
            let Some((step, shorter)) = steps.split_first() else { return };
            if whole.is_empty() {
                return;
            }
            let first = whole.after.div_euclid(*step) * step;
            let first = if first < whole.after { first + step } else { first };
            let last = whole.until.div_euclid(*step) * step;
            if first >= last {
                return divide(whole, shorter, parts);
            }
            divide(Interval { after: whole.after, until: first }, shorter, parts);
            let mut at = first;
            while at < last {
                let until = at.saturating_add(PART_MAX).min(last);
                parts.push((Interval { after: at, until }, *step));
                at = until;
            }
            divide(Interval { after: last, until: whole.until }, shorter, parts);
        }
        let mut parts = Vec::new();
        divide(self, &STEPS, &mut parts);
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_divided_without_a_gap_by_the_longest_steps() {
        let [hour, minute, second] = STEPS;
        for (after, until, expected) in [
            (0, 24 * hour, vec![(0, 24 * hour, hour)]),
            (30 * minute, 25 * hour, vec![(30 * minute, hour, minute), (hour, 25 * hour, hour)]),
            (
                second,
                hour + 2 * minute + second,
                vec![
                    (second, minute, second),
                    (minute, hour + 2 * minute, minute),
                    (hour + 2 * minute, hour + 2 * minute + second, second),
                ],
            ),
            (
                hour,
                50 * hour,
                vec![(hour, 25 * hour, hour), (25 * hour, 49 * hour, hour), (49 * hour, 50 * hour, hour)],
            ),
            (5 * second, 7 * second, vec![(5 * second, 7 * second, second)]),
            (7 * second, 7 * second, vec![]),
        ] {
            let parts: Vec<_> = Interval { after, until }
                .parts()
                .into_iter()
                .map(|(part, step)| (part.after, part.until, step))
                .collect();
            assert_eq!(parts, expected, "{after} {until}");
        }
    }

    #[test]
    fn a_span_becomes_whole_seconds() {
        assert_eq!(Interval::around(1_500_000, 2_000_001), Interval { after: SECOND, until: 3 * SECOND });
        assert_eq!(Interval::around(1_000_000, 2_000_000), Interval { after: SECOND, until: 2 * SECOND });
        let day = Interval::around(0, 86_400_000_000 - 1);
        assert_eq!((day.until, day.contains(0), day.contains(day.until)), (86_400 * SECOND, false, true));
    }
}

//! Paths of the API (grafana/loki, `pkg/util/constants/api_paths.go`).

use super::params::{self, Refused};

/// What a path asks for. A live tail and rules are not among it: these are of the agent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Values at one time.
    Query,
    /// Lines, or values over time.
    QueryRange,
    /// The names of labels.
    Labels,
    /// The values of a label.
    Values(String),
    /// Streams.
    Series,
    /// How much there is.
    Stats,
    /// How much there is by label.
    Volume,
    /// The same over time.
    VolumeRange,
    /// Labels to choose from.
    DetectedLabels,
    /// Fields of lines.
    DetectedFields,
    /// The values of a field.
    FieldValues(String),
    /// Patterns of lines.
    Patterns,
    /// A query in its usual form.
    Format,
    /// Which program this is.
    BuildInfo,
    /// How much may be asked.
    DrilldownLimits,
    /// Lines in the shape that they had before version 1, or values over time.
    OldQuery,
    /// The names of labels, in that shape.
    OldLabels,
    /// The values of a label, in that shape.
    OldValues(String),
}

/// What stands before all of version 1.
const PREFIX: &str = "/loki/api/v1/";
/// What stood before all of them before.
const OLD_PREFIX: &str = "/api/prom/";

impl Path {
    /// Reads a path as it was sent; `None`: it is none of these.
    ///
    /// # Errors
    /// It has an escape that is none.
    pub(super) fn read(path: &str) -> Result<Option<Path>, Refused> {
        let path = params::unescape(path.as_bytes(), false).map_err(Refused::new)?;
        if let Some(name) = path.strip_prefix(OLD_PREFIX) {
            return Ok(match name {
                "query" => Some(Path::OldQuery),
                "label" => Some(Path::OldLabels),
                "series" => Some(Path::Series),
                name => between(name, "label/").map(Path::OldValues),
            });
        }
        let Some(name) = path.strip_prefix(PREFIX) else { return Ok(None) };
        Ok(Some(match name {
            "query" => Path::Query,
            "query_range" => Path::QueryRange,
            "labels" | "label" => Path::Labels,
            "series" => Path::Series,
            "index/stats" => Path::Stats,
            "index/volume" => Path::Volume,
            "index/volume_range" => Path::VolumeRange,
            "detected_labels" => Path::DetectedLabels,
            "detected_fields" => Path::DetectedFields,
            "patterns" => Path::Patterns,
            "format_query" => Path::Format,
            "status/buildinfo" => Path::BuildInfo,
            "drilldown-limits" => Path::DrilldownLimits,
            name => {
                if let Some(label) = between(name, "label/") {
                    Path::Values(label)
                } else if let Some(field) = between(name, "detected_field/") {
                    Path::FieldValues(field)
                } else {
                    return Ok(None);
                }
            }
        }))
    }
}

/// The name in a path of values.
fn between(path: &str, before: &str) -> Option<String> {
    let name = path.strip_prefix(before)?.strip_suffix("/values")?;
    (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_paths() {
        let read = |path: &str| Path::read(&format!("{PREFIX}{path}")).unwrap();
        assert_eq!(read("label"), Some(Path::Labels));
        assert_eq!(read("label/a%20b/values"), Some(Path::Values("a b".to_owned())));
        assert_eq!(read("detected_field/a/values"), Some(Path::FieldValues("a".to_owned())));
        for path in ["", "queries", "label//values", "label/a/b/values", "label/a", "tail"] {
            assert_eq!(read(path), None, "{path}");
        }
        assert_eq!(Path::read("/api/v1/query").unwrap(), None);
        let old = |path: &str| Path::read(&format!("{OLD_PREFIX}{path}")).unwrap();
        assert_eq!(old("label/a/values"), Some(Path::OldValues("a".to_owned())));
        for path in ["query_range", "labels", "label//values", "tail", "rules"] {
            assert_eq!(old(path), None, "{path}");
        }
        assert!(Path::read("/loki/api/v1/label/%zz/values").is_err());
    }
}

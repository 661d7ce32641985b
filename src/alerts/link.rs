//! The link of an alert: Grafana's page for the expression of its rule, at the time of the alert.

use std::sync::Arc;

use logql::Expr;
use url::Url;

use super::state::Outside;

/// So long before an alert fired the page begins, and so long after it the page ends (milliseconds). The page does not move
/// with the clock: who opens the link a day later sees what there was to see.
const BEFORE: i64 = 3_600_000;
const AFTER: i64 = 15 * 60_000;

/// The page of a rule.
#[derive(Debug, Clone)]
pub(super) struct Link {
    url: Url,
    /// The query, in the form of Grafana's Explore.
    query: serde_json::Value,
}

impl Link {
    /// The page for an expression, in the form that Loki's ruler gives (grafana/loki, `pkg/ruler/base/ruler.go`). `None`: it
    /// is not known where Grafana is.
    pub(super) fn new(outside: &Outside, expr: &Expr) -> Option<Link> {
        let mut url = Url::parse(outside.url.trim_end_matches('/')).ok()?;
        let path = format!("{}/explore", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let query = serde_json::json!({
            "refId": "A",
            "expr": expr.to_string(),
            "queryType": "range",
            "datasource": {"type": "loki", "uid": outside.datasource},
        });
        Some(Link { url, query })
    }

    /// The page for an alert that fires since a time (nanoseconds since 1970): always the same.
    pub(super) fn at(&self, starts_at: i64) -> Arc<str> {
        let fired = starts_at / 1_000_000;
        let (from, to) = (fired.saturating_sub(BEFORE), fired.saturating_add(AFTER));
        let left = serde_json::json!({
            "queries": [self.query],
            "range": {"from": from.to_string(), "to": to.to_string()},
        });
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("left", &left.to_string());
        url.as_str().into()
    }
}

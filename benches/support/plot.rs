//! Plots as SVG: panels side by side, each with points on lines, axes from zero or by powers of ten, and a legend.

use std::fmt::Write as _;

/// Size of a panel, and the margins within it (pixels).
const PANEL: (f64, f64) = (420.0, 300.0);
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
/// Colours that can be told apart on light and on dark pages.
const COLOURS: [&str; 4] = ["#2f7ed8", "#d9822b", "#3a9d5d", "#a05fb4"];
const INK: &str = "#808080";

/// One panel.
pub(crate) struct Panel {
    /// What the vertical axis shows.
    pub(crate) title: &'static str,
    /// What the horizontal axis shows.
    pub(crate) across: &'static str,
    /// Both axes by powers of ten, where a cost that is in proportion is a line, too.
    pub(crate) powers: bool,
    /// Lines: name and points.
    pub(crate) lines: Vec<(&'static str, Vec<(f64, f64)>)>,
}

/// Panels side by side, as a whole SVG file.
pub(crate) fn svg(panels: &[Panel]) -> String {
    let (width, height) = (PANEL.0 * panels.len() as f64, PANEL.1);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"{INK}\">\n"
    );
    for (n, panel) in panels.iter().enumerate() {
        let _ = writeln!(text, "<g transform=\"translate({} 0)\">", PANEL.0 * n as f64);
        panel.draw(&mut text);
        text.push_str("</g>\n");
    }
    text.push_str("</svg>\n");
    text
}

/// An axis: the values at its ends and how they are spread.
#[derive(Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    powers: bool,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64> + Clone, powers: bool) -> Axis {
        let (low, high) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(0.0, f64::max));
        match powers {
            true => {
                Axis { low: 10f64.powf(low.log10().floor()), high: 10f64.powf(high.log10().ceil()), powers }
            }
            false => Axis { low: 0.0, high: step(high) * (high / step(high)).ceil(), powers },
        }
    }

    /// Where a value is, 0 to 1.
    fn place(self, value: f64) -> f64 {
        match self.powers {
            true => (value / self.low).log10() / (self.high / self.low).log10().max(1.0),
            false => value / self.high,
        }
    }

    /// The values that are written beside it.
    fn marks(self) -> Vec<f64> {
        match self.powers {
            true => std::iter::successors(Some(self.low), |mark| Some(mark * 10.0))
                .take_while(|mark| *mark <= self.high * 1.01)
                .collect(),
            false => std::iter::successors(Some(0.0), |mark| Some(mark + step(self.high)))
                .take_while(|mark| *mark <= self.high * 1.001)
                .collect(),
        }
    }
}

/// A round step that divides an axis up to `high` into four to ten parts.
fn step(high: f64) -> f64 {
    let power = 10f64.powf(high.max(1e-9).log10().floor());
    let parts = high / power;
    power
        * if parts < 2.0 {
            0.25
        } else if parts < 5.0 {
            0.5
        } else {
            1.0
        }
}

/// A value as people read it: 0.25, 40, 3 M.
fn written(value: f64) -> String {
    let (value, unit) = match value {
        value if value >= 1e6 => (value / 1e6, " M"),
        value if value >= 1e4 => (value / 1e3, " k"),
        value => (value, ""),
    };
    format!("{}{unit}", (value * 1000.0).round() / 1000.0)
}

impl Panel {
    fn draw(&self, text: &mut String) {
        let points = self.lines.iter().flat_map(|(_, points)| points);
        let across = Axis::of(points.clone().map(|point| point.0), self.powers);
        let up = Axis::of(points.map(|point| point.1), self.powers);
        let x = |value: f64| LEFT + across.place(value) * (PANEL.0 - LEFT - RIGHT);
        let y = |value: f64| PANEL.1 - BOTTOM - up.place(value) * (PANEL.1 - TOP - BOTTOM);
        let _ = writeln!(text, "<text x=\"{LEFT}\" y=\"16\" font-weight=\"bold\">{}</text>", self.title);
        for mark in up.marks() {
            let at = y(mark);
            let _ = writeln!(
                text,
                "<path d=\"M{LEFT} {at:.1}H{}\" stroke=\"{INK}\" stroke-opacity=\"0.3\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                PANEL.0 - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                written(mark)
            );
        }
        for mark in across.marks() {
            let _ = writeln!(
                text,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                x(mark),
                PANEL.1 - BOTTOM + 16.0,
                written(mark)
            );
        }
        let middle = (LEFT + PANEL.0 - RIGHT) / 2.0;
        let _ = writeln!(
            text,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            PANEL.1 - 8.0,
            self.across
        );
        for (n, ((name, points), colour)) in self.lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let path =
                points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect::<Vec<_>>();
            let _ = writeln!(
                text,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.join(" ")
            );
            for point in points {
                let _ = writeln!(
                    text,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                    x(point.0),
                    y(point.1)
                );
            }
            if self.lines.len() > 1 {
                let at = TOP + 16.0 * n as f64;
                let _ =
                    writeln!(text, "<text x=\"{}\" y=\"{at}\" fill=\"{colour}\">{name}</text>", LEFT + 8.0);
            }
        }
    }
}

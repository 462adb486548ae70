//! The benchmark results as a plot: throughput and latency by the number of nodes.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::orders::bench::measured::SetupResult;

const SIZE: (u32, u32) = (1100, 460);
const FONT: &str = "sans-serif";
/// The colours with and without batching, distinguishable with colour blindness.
const COLOURS: [RGBColor; 2] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0)];

/// One line of a chart.
struct Line {
    name: String,
    colour: RGBColor,
    is_filled: bool,
    points: Vec<(f64, f64)>,
}

/// Draws both charts side by side as SVG.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(path: &Path, measured: &[SetupResult]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(SIZE.0 / 2);
    let rates = lines(measured, "", true, |measured| measured.per_second().mean);
    draw(&left, "orders per second", &rates)?;
    let mut latencies = Vec::new();
    for (name, quantile) in [("p50 ", 0.5), ("p99 ", 0.99)] {
        let latency = |measured: &SetupResult| measured.latencies.milliseconds(quantile);
        latencies.extend(lines(measured, name, quantile < 0.9, latency));
    }
    draw(&right, "latency in milliseconds", &latencies)?;
    area.present()?;
    Ok(())
}

fn lines(
    measured: &[SetupResult],
    name: &str,
    is_filled: bool,
    of: impl Fn(&SetupResult) -> f64,
) -> Vec<Line> {
    let line = |(batching, colour)| {
        let those = measured.iter().filter(|measured| measured.setup.batching == batching);
        let mut points: Vec<(f64, f64)> =
            those.map(|measured| (measured.setup.nodes as f64, of(measured))).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        let kind = if batching { "with batching" } else { "without batching" };
        Line { name: format!("{name}{kind}"), colour, is_filled, points }
    };
    std::iter::zip([true, false], COLOURS).map(line).collect()
}

fn draw(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    lines: &[Line],
) -> Result<(), Box<dyn Error>> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
    let (nodes, height) = (most(|point| point.0) + 0.5, most(|point| point.1).max(1e-3) * 1.3);
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.5..nodes, 0.0..height)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(10)
        .x_label_formatter(&whole)
        .y_label_formatter(&plain)
        .x_desc("nodes, all on one machine")
        .label_style((FONT, 13))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for Line { name, colour, is_filled, points } in lines {
        let style = ShapeStyle { color: colour.to_rgba(), filled: *is_filled, stroke_width: 2 };
        chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
        let dots = points.iter().map(|point| Circle::new(*point, 4, style));
        let symbol = move |(x, y)| Circle::new((x + 10, y), 4, style);
        chart.draw_series(dots)?.label(name).legend(symbol);
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .label_font((FONT, 13))
        .draw()?;
    Ok(())
}

/// Formats the label of a whole number of nodes; fractions have none.
fn whole(nodes: &f64) -> String {
    if nodes.fract().abs() < 1e-9 { format!("{nodes:.0}") } else { String::new() }
}

/// Formats a number without trailing zeros.
fn plain(number: &f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::orders::bench::measured::{Run, Setup};

    #[test]
    fn a_number_has_no_trailing_zeros() {
        let formatted = [0.0, 2.5, 10_000.0, 0.1 + 0.2].map(|number| plain(&number));
        assert_eq!(formatted, ["0", "2.5", "10000", "0.3"]);
    }

    #[test]
    fn the_plot_has_a_dot_for_each_result_and_a_name_for_each_line() {
        let of = |nodes, batching| {
            let mut measured = SetupResult::new(Setup { nodes, batching });
            let took = Duration::from_secs(nodes);
            measured.runs.push(Run { orders: 500, took, nodes: None, clients: None });
            measured.latencies.add(Duration::from_millis(nodes));
            measured
        };
        let measured = [of(1, true), of(1, false), of(3, true), of(3, false)];
        let root = tempfile::TempDir::new().expect("there is room");
        let path = root.path().join("plot.svg");
        write(&path, &measured).expect("there is room");
        let svg = fs::read_to_string(&path).expect("the file exists");
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
        // Two sizes, three lines of each kind, and a legend symbol for each line.
        assert_eq!(svg.matches("<circle").count(), (2 + 1) * 3 * 2);
        for name in ["p50 with batching", "p99 without batching", "orders per second"] {
            assert!(svg.contains(name), "no {name}");
        }
    }
}

//! Loss against the varied key, as an SVG picture.
//!
//! Contract: the values stand at equal distances, in the order in which they were given: a key's
//! values may be words. The file holds text as text and needs no font of this machine.

use super::{Comparison, loss_per_100_000};
use plotters::prelude::*;

const SIZE: (u32, u32) = (900, 540);
/// Colours that stay apart in print and for most eyes (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// The picture.
///
/// # Errors
/// What the drawing library says.
pub fn svg(title: &str, comparison: &Comparison) -> Result<String, String> {
    let mut text = String::new();
    draw(&mut text, title, comparison).map_err(|error| error.to_string())?;
    Ok(text)
}

fn draw(
    text: &mut String,
    title: &str,
    comparison: &Comparison,
) -> Result<(), Box<dyn std::error::Error>> {
    let values: Vec<&str> =
        comparison.blocks.iter().map(|block| block.value.as_deref().unwrap_or("")).collect();
    let percent = |run: usize, block: usize| -> f64 {
        loss_per_100_000(&comparison.blocks[block].columns[run]) as f64 / 1000.0
    };
    let runs = comparison.blocks.first().map_or(0, |block| block.columns.len());
    let most = (0..runs)
        .flat_map(|run| (0..values.len()).map(move |block| percent(run, block)))
        .fold(1.0, f64::max);

    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let last = values.len().saturating_sub(1) as f64;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(-0.25..last + 0.25, 0.0..most * 1.05)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(values.len().max(2) * 4)
        .x_label_formatter(&|at| {
            let nearest = at.round();
            let label = values.get(nearest as usize).copied().unwrap_or_default();
            if (at - nearest).abs() < 1e-6 && nearest >= 0.0 { label.into() } else { String::new() }
        })
        .x_desc(comparison.key.as_deref().unwrap_or("one scenario"))
        .y_desc("frames lost, % of those offered")
        .draw()?;
    for run in 0..runs {
        let colour = COLOURS[run % COLOURS.len()];
        let points: Vec<(f64, f64)> =
            (0..values.len()).map(|block| (block as f64, percent(run, block))).collect();
        let name = comparison.blocks[0].columns[run].engine.name();
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, colour.filled())))?;
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}

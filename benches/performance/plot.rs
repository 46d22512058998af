//! Plots, as SVG.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::Spread;

const FONT: &str = "sans-serif";
const OURS: RGBColor = RGBColor(51, 103, 145);
const OTHER: RGBColor = RGBColor(217, 119, 6);
const LINE: u32 = 22;
const WIDTH: u32 = 900;
const LABELS: u32 = 300;

/// One line of a panel.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A bar for each, as long as its median, with its spread; and a mark where both sides are the same.
pub(crate) fn bars(title: &str, bars: &[(String, Spread)]) -> String {
    let mut svg = String::new();
    let count = u32::try_from(bars.len()).unwrap();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, LINE * (count + 4))).into_drawing_area();
        area.fill(&WHITE).unwrap();
        let longest = bars.iter().map(|(_, spread)| spread.highest).fold(1.0, f64::max) * 1.05;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, (FONT, 18))
            .margin_right(20)
            .set_label_area_size(LabelAreaPosition::Left, LABELS)
            .set_label_area_size(LabelAreaPosition::Bottom, LINE)
            .build_cartesian_2d(0.0..longest, 0.0..f64::from(count))
            .unwrap();
        chart.configure_mesh().disable_y_mesh().disable_y_axis().x_labels(12).label_style((FONT, 13)).draw().unwrap();
        let label = TextStyle::from((FONT, 13).into_font()).pos(Pos::new(HPos::Right, VPos::Center));
        for ((name, spread), from_below) in bars.iter().zip((0..count).rev()) {
            let middle = f64::from(from_below) + 0.5;
            chart.draw_series([Rectangle::new([(0.0, middle - 0.35), (spread.median, middle + 0.35)], OURS.mix(0.6).filled())]).unwrap();
            chart.draw_series([PathElement::new(vec![(spread.lowest, middle), (spread.highest, middle)], BLACK.stroke_width(2))]).unwrap();
            let (x, y) = chart.backend_coord(&(0.0, middle));
            area.draw_text(name, &label, (x - 8, y)).unwrap();
        }
        chart.draw_series([PathElement::new(vec![(1.0, 0.0), (1.0, f64::from(count))], OTHER.stroke_width(2))]).unwrap();
        area.present().unwrap();
    }
    svg
}

/// Panels of lines, three in a row, over a logarithmic axis.
pub(crate) fn panels(panels: &[(String, Vec<Line>)]) -> String {
    const COLUMNS: usize = 3;
    const SIZE: (u32, u32) = (420, 260);
    let mut svg = String::new();
    {
        let rows = panels.len().div_ceil(COLUMNS);
        let size = (SIZE.0 * u32::try_from(COLUMNS).unwrap(), SIZE.1 * u32::try_from(rows).unwrap());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).unwrap();
        for ((title, lines), place) in panels.iter().zip(area.split_evenly((rows, COLUMNS))) {
            let points = || lines.iter().flat_map(|line| line.points.iter().copied());
            let last = points().map(|(x, _)| x).fold(1.0, f64::max);
            let highest = points().map(|(_, y)| y).fold(0.0, f64::max) * 1.1;
            let mut chart = ChartBuilder::on(&place)
                .caption(title, (FONT, 14))
                .margin(10)
                .margin_right(30)
                .set_label_area_size(LabelAreaPosition::Left, 40)
                .set_label_area_size(LabelAreaPosition::Bottom, LINE)
                .build_cartesian_2d((1.0..last).log_scale(), 0.0..highest)
                .unwrap();
            let whole = |x: &f64| format!("{x:.0}");
            chart.configure_mesh().x_labels(6).x_label_formatter(&whole).y_labels(5).label_style((FONT, 12)).draw().unwrap();
            let top = lines.iter().filter_map(|line| line.points.last()).map(|(_, y)| *y).fold(0.0, f64::max);
            for (line, colour) in lines.iter().zip([OURS, OTHER]).filter(|(line, _)| !line.points.is_empty()) {
                chart.draw_series([PathElement::new(line.points.clone(), colour.stroke_width(2))]).unwrap();
                chart.draw_series(line.points.iter().map(|point| Circle::new(*point, 3, colour.filled()))).unwrap();
                let last = line.points.last().unwrap();
                // Away from the other line.
                let side = if last.1 < top { VPos::Top } else { VPos::Bottom };
                let label = (FONT, 12).into_font().color(&colour).pos(Pos::new(HPos::Right, side));
                area.draw_text(line.name, &label, chart.backend_coord(last)).unwrap();
            }
        }
        area.present().unwrap();
    }
    svg
}

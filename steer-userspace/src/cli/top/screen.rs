//! The rates on a terminal: a head, three tables, a line of keys.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Clear, Paragraph, Row as Cells, Table as Grid},
};

use super::{
    rates::Rates,
    rows::rate,
    view::{Table, View},
};
use crate::cli::output::Row;

/// From this width on, cells are written out.
const WIDE: u16 = 100;
/// Rows of a table that does not move, with its headers.
const ASIDE: u16 = 5;

/// The smallest and the usual width of each column.
const ROUTES: [Constraint; 8] = [
    Constraint::Fill(2),
    Constraint::Fill(1),
    Constraint::Length(6),
    Constraint::Length(5),
    Constraint::Length(5),
    Constraint::Length(6),
    Constraint::Length(4),
    Constraint::Length(8),
];
const ROUTES_WIDE: [Constraint; 8] = [
    Constraint::Fill(3),
    Constraint::Fill(2),
    Constraint::Length(8),
    Constraint::Length(8),
    Constraint::Length(6),
    Constraint::Length(6),
    Constraint::Length(6),
    Constraint::Length(14),
];
const REFUSED: [Constraint; 5] = [
    Constraint::Fill(2),
    Constraint::Fill(2),
    Constraint::Length(7),
    Constraint::Length(6),
    Constraint::Length(16),
];
const SOURCES: [Constraint; 6] = [
    Constraint::Fill(2),
    Constraint::Fill(3),
    Constraint::Length(6),
    Constraint::Length(6),
    Constraint::Length(6),
    Constraint::Length(5),
];

/// Colours, if they are wanted.
#[derive(Clone, Copy)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    fn colour(self, colour: Color) -> Style {
        if self.0 {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }
}

/// Draws what `view` shows of the rates; none before there were two looks.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    rates: Option<&Rates>,
    trouble: Option<&str>,
    view: &mut View,
    paint: Paint,
) {
    let [head, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    match rates {
        Some(rates) => {
            frame.render_widget(Paragraph::new(heading(rates, paint)), head);
            tables(frame, body, &view.of(rates.clone()), view);
        }
        None => frame.render_widget("steer top: counting", head),
    }
    if let Some(trouble) = trouble {
        let line = Line::styled(trouble.to_owned(), paint.colour(Color::Red));
        frame.render_widget(Clear, head);
        frame.render_widget(line, head);
    }
    frame.render_widget(footer(view, paint), foot);
    if view.help {
        help(frame, body);
    }
}

fn heading(rates: &Rates, paint: Paint) -> Line<'static> {
    let state = rates.state.clone().unwrap_or_else(|| "unknown".to_owned());
    let state = match state.as_str() {
        "refused" => Span::styled(state, paint.colour(Color::Red)),
        _ => Span::raw(state),
    };
    let agent = if rates.agent_runs {
        Span::raw("")
    } else {
        Span::styled("  no agent runs", paint.colour(Color::Yellow))
    };
    let metrics = rates.metrics_trouble.as_ref();
    let metrics = metrics.map_or_else(String::new, |trouble| format!("  metrics: {trouble}"));
    let refused = format!("refused {}/s", rate(Some(rates.refused_per_second)));
    let refused = if rates.refused_per_second > 0.0 {
        Span::styled(refused, paint.colour(Color::Red))
    } else {
        Span::raw(refused)
    };
    Line::from(vec![
        Span::styled(rates.node.clone(), Modifier::BOLD),
        Span::raw(format!("  generation {}  ", rates.generation)),
        state,
        agent,
        Span::raw(format!("  findings {}  ", rates.findings)),
        refused,
        Span::raw(format!("  in {:.1} s", rates.seconds)),
        Span::styled(metrics, paint.colour(Color::Yellow)),
    ])
}

/// The three tables; the one that moves has the room that the others leave.
fn tables(frame: &mut Frame<'_>, area: Rect, rates: &Rates, view: &mut View) {
    let height = |table: Table, rows: usize| {
        if table == view.table {
            return Constraint::Fill(1);
        }
        // A blank line, the headers, the rows.
        let rows = u16::try_from(rows.max(1)).unwrap_or(u16::MAX);
        Constraint::Length(rows.saturating_add(2).min(ASIDE))
    };
    let areas: [Rect; 3] = Layout::vertical([
        height(Table::Routes, rates.routes.len()),
        height(Table::Refused, rates.refused.len()),
        height(Table::Sources, rates.sources.len()),
    ])
    .areas(area);
    let routes = if area.width < WIDE {
        ROUTES
    } else {
        ROUTES_WIDE
    };
    let [above, between, below] = areas;
    table(frame, above, &rates.routes, &routes, Table::Routes, view);
    table(
        frame,
        between,
        &rates.refused,
        &REFUSED,
        Table::Refused,
        view,
    );
    table(frame, below, &rates.sources, &SOURCES, Table::Sources, view);
}

fn table<R: Row>(
    frame: &mut Frame<'_>,
    area: Rect,
    rows: &[R],
    widths: &[Constraint],
    which: Table,
    view: &mut View,
) {
    let fit = usize::from(area.height.saturating_sub(2));
    let moves = which == view.table;
    let first = if moves {
        view.place(rows.len(), fit)
    } else {
        0
    };
    let wide = area.width >= WIDE;
    let style = if moves {
        Style::new().add_modifier(Modifier::REVERSED)
    } else {
        Style::new().add_modifier(Modifier::BOLD)
    };
    let headers = R::headers(wide).into_iter().map(|header| {
        let sorted = which == Table::Routes && header == view.sort.column();
        let style = if sorted {
            Style::new().add_modifier(Modifier::UNDERLINED)
        } else {
            Style::new()
        };
        Span::styled(header, style)
    });
    let shown = rows.iter().skip(first).take(fit);
    let grid = Grid::new(shown.map(|row| Cells::new(row.cells(wide))), widths)
        .header(Cells::new(headers).style(style).top_margin(1));
    frame.render_widget(grid, area);
}

fn footer(view: &View, paint: Paint) -> Line<'static> {
    if view.typing {
        return Line::raw(format!(
            "filter: {}_  (Enter keeps it, Esc drops it)",
            view.filter
        ));
    }
    let mut spans = vec![Span::raw(format!(
        "q end  Tab table  s sort ({})  / filter  p pause  ? help",
        view.sort.column()
    ))];
    if !view.filter.is_empty() {
        spans.push(Span::raw(format!("  filter: {}", view.filter)));
    }
    if view.paused {
        spans.push(Span::styled("  PAUSED", paint.colour(Color::Yellow)));
    }
    Line::from(spans)
}

const HELP: [&str; 15] = [
    "q, Ctrl-C       end",
    "up, down        one row; PgUp, PgDn a page; Home, End",
    "Tab             the next table",
    "s               sort by the next column",
    "/               show what has a text in its name; Esc: all",
    "p               pause",
    "",
    "SHARE           of the connections since the last look",
    "WEIGHT          what the rule asks for",
    "OFF             distance from the exact share, in connections,",
    "                since these weights took effect",
    "DEPTH           * becomes request where requests stray",
    "OPEN            connections that are open now; rates by source",
    "                need an agent with --metrics",
    "A key takes this away.",
];

fn help(frame: &mut Frame<'_>, area: Rect) {
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(HELP.map(Line::raw).to_vec()), area);
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::cli::{
        golden,
        top::{graph::Traffic, rates::tests::looks, sample::Pair},
    };

    fn rates() -> Rates {
        let (mut before, mut after) = looks();
        let pair = Pair {
            source: "shop/web".to_owned(),
            to: "catalog.shop v1".to_owned(),
        };
        before.traffic = Some([(pair.clone(), Traffic::default())].into());
        let traffic = Traffic {
            connections: 990,
            requests: 5,
            errors: 1,
        };
        after.traffic = Some([(pair, traffic)].into());
        Rates {
            node: "node-1".to_owned(),
            agent_runs: true,
            ..Rates::between(&before, &after)
        }
    }

    fn drawn(size: (u16, u16), view: &mut View, paint: bool) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        terminal
            .draw(|frame| draw(frame, Some(&rates()), None, view, Paint(paint)))
            .unwrap();
        terminal
    }

    fn text(size: (u16, u16), view: &mut View) -> String {
        let lines = drawn(size, view, false).backend().to_string();
        let lines = lines.lines().map(|line| line.trim_matches('"').trim_end());
        lines.map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn it_fits_a_small_terminal() {
        golden::assert("top-80x24", &text((80, 24), &mut View::default()));
    }

    #[test]
    fn there_is_more_on_a_wide_one() {
        golden::assert("top-120x30", &text((120, 30), &mut View::default()));
    }

    #[test]
    fn help_stands_over_the_tables() {
        let mut view = View {
            help: true,
            ..View::default()
        };
        golden::assert("top-help", &text((80, 24), &mut view));
    }

    #[test]
    fn the_chosen_table_moves() {
        let mut view = View {
            first: 2,
            ..View::default()
        };
        // Of three routes one fits: a head, two lines of headers, two other tables, a foot.
        let shown = text((80, 12), &mut view);
        assert!(
            shown.contains("forum.shop:8080") && !shown.contains("catalog.shop:80"),
            "{shown}"
        );
    }

    #[test]
    fn no_size_is_too_small() {
        for size in [(1, 1), (10, 2), (20, 5), (300, 3)] {
            text(size, &mut View::default());
        }
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        let coloured = |paint| {
            let terminal = drawn((80, 24), &mut View::default(), paint);
            let cells = terminal.backend().buffer().content();
            let coloured = cells.iter().filter(|cell| cell.fg != Color::Reset);
            coloured.count()
        };
        assert_eq!(coloured(false), 0);
        // What is refused is red.
        assert!(coloured(true) > 0);
    }
}

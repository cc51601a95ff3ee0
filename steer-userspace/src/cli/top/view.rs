//! What is shown of the rates: which rows, in which order, from which on; and what keys change of that.

use std::collections::BTreeMap;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::rates::{Rates, RouteRate};

/// By what routes are sorted; the rows of a service stay together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Sort {
    #[default]
    Connections,
    Requests,
    Off,
    Name,
}

impl Sort {
    const fn next(self) -> Self {
        match self {
            Self::Connections => Self::Requests,
            Self::Requests => Self::Off,
            Self::Off => Self::Name,
            Self::Name => Self::Connections,
        }
    }

    /// The header of its column.
    pub(super) const fn column(self) -> &'static str {
        match self {
            Self::Connections => "CONN/S",
            Self::Requests => "REQ/S",
            Self::Off => "OFF",
            Self::Name => "SERVICE",
        }
    }

    fn value(self, row: &RouteRate) -> f64 {
        let value = match self {
            Self::Connections => row.connections_per_second,
            Self::Requests => row.requests_per_second,
            Self::Off => row.split_error,
            Self::Name => None,
        };
        value.unwrap_or_default()
    }
}

/// One of the three tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Table {
    #[default]
    Routes,
    Refused,
    Sources,
}

impl Table {
    const fn next(self) -> Self {
        match self {
            Self::Routes => Self::Refused,
            Self::Refused => Self::Sources,
            Self::Sources => Self::Routes,
        }
    }
}

/// What is shown.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct View {
    pub(super) sort: Sort,
    pub(super) filter: String,
    /// The filter is being typed.
    pub(super) typing: bool,
    pub(super) paused: bool,
    pub(super) help: bool,
    /// The table that moves.
    pub(super) table: Table,
    /// Its first row.
    pub(super) first: usize,
    /// How many rows of it fit; known once it was drawn.
    pub(super) fit: usize,
}

/// What becomes of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Stay,
    End,
}

impl View {
    /// Does what a key asks for.
    pub(super) fn press(&mut self, key: KeyEvent) -> Next {
        if key.kind == KeyEventKind::Release {
            return Next::Stay;
        }
        // In raw mode nobody else takes it.
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Next::End;
        }
        if self.typing {
            self.write(key.code);
            return Next::Stay;
        }
        if std::mem::take(&mut self.help) {
            return Next::Stay;
        }
        match key.code {
            KeyCode::Char('q') => return Next::End,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('p') => self.paused = !self.paused,
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Tab => (self.table, self.first) = (self.table.next(), 0),
            KeyCode::Up => self.first = self.first.saturating_sub(1),
            KeyCode::Down => self.first = self.first.saturating_add(1),
            KeyCode::PageUp => self.first = self.first.saturating_sub(self.fit.max(1)),
            KeyCode::PageDown => self.first = self.first.saturating_add(self.fit.max(1)),
            KeyCode::Home => self.first = 0,
            KeyCode::End => self.first = usize::MAX,
            _ => {}
        }
        Next::Stay
    }

    fn write(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(letter) => {
                self.filter.push(letter);
                self.first = 0;
            }
            _ => {}
        }
    }

    /// The first row that is shown of so many, where `fit` fit.
    pub(super) fn place(&mut self, rows: usize, fit: usize) -> usize {
        self.fit = fit;
        self.first = self.first.min(rows.saturating_sub(fit));
        self.first
    }

    /// What is shown of the rates, in its order.
    pub(super) fn of(&self, mut rates: Rates) -> Rates {
        let wanted = self.filter.to_lowercase();
        let has = |texts: &[&str]| {
            let mut texts = texts.iter();
            texts.any(|text| text.to_lowercase().contains(&wanted))
        };
        rates
            .routes
            .retain(|row| has(&[&row.service, &row.destination]));
        rates.refused.retain(|row| has(&[&row.pod, &row.to]));
        rates.sources.retain(|row| has(&[&row.source, &row.to]));
        sort(&mut rates.routes, self.sort);
        rates
    }
}

/// By the largest value of a service; those that are alike by name.
fn sort(rows: &mut [RouteRate], by: Sort) {
    let mut values: BTreeMap<(String, Option<String>), f64> = BTreeMap::new();
    let key = |row: &RouteRate| (row.service.clone(), row.client.clone());
    for row in rows.iter() {
        let value = values.entry(key(row)).or_default();
        *value = value.max(by.value(row));
    }
    let value = |row: &RouteRate| values.get(&key(row)).copied().unwrap_or_default();
    rows.sort_by(|a, b| {
        let by_value = value(b).total_cmp(&value(a));
        by_value.then_with(|| key(a).cmp(&key(b)))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::rates::tests::looks;

    fn rates() -> Rates {
        let (before, after) = looks();
        Rates::between(&before, &after)
    }

    fn press(view: &mut View, keys: &str) {
        for letter in keys.chars() {
            let code = match letter {
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                other => KeyCode::Char(other),
            };
            view.press(code.into());
        }
    }

    fn services(view: &View) -> Vec<String> {
        let shown = view.of(rates());
        shown.routes.into_iter().map(|row| row.service).collect()
    }

    #[test]
    fn the_busiest_is_first_and_rows_of_a_service_stay_together() {
        let mut rates = rates();
        rates.routes[2].connections_per_second = Some(100.0);
        let shown = View::default().of(rates.clone());
        let names: Vec<_> = shown.routes.iter().map(|row| &*row.destination).collect();
        assert_eq!(names, ["v1", "v2", "forum"]);
        rates.routes[2].connections_per_second = Some(1000.0);
        let shown = View::default().of(rates);
        let names: Vec<_> = shown.routes.iter().map(|row| &*row.destination).collect();
        assert_eq!(names, ["forum", "v1", "v2"]);
    }

    #[test]
    fn s_goes_through_the_columns() {
        let mut view = View::default();
        let mut columns = Vec::new();
        for _ in 0..5 {
            columns.push(view.sort.column());
            press(&mut view, "s");
        }
        assert_eq!(columns, ["CONN/S", "REQ/S", "OFF", "SERVICE", "CONN/S"]);
    }

    #[test]
    fn a_filter_is_typed_and_taken_back() {
        let mut view = View::default();
        // q is a letter while one types.
        press(&mut view, "/Foruq");
        assert_eq!((view.typing, view.filter.as_str()), (true, "Foruq"));
        view.press(KeyCode::Backspace.into());
        press(&mut view, "m\n");
        assert!(!view.typing);
        assert_eq!(services(&view), ["forum.shop:8080"]);
        view.press(KeyCode::Esc.into());
        assert_eq!(services(&view).len(), 3);
    }

    #[test]
    fn one_moves_as_far_as_there_is_something() {
        let mut view = View::default();
        view.place(20, 8);
        view.press(KeyCode::PageDown.into());
        assert_eq!(view.place(20, 8), 8);
        view.press(KeyCode::End.into());
        assert_eq!(view.place(20, 8), 12);
        view.press(KeyCode::Up.into());
        assert_eq!(view.place(20, 8), 11);
        // There are fewer of them now.
        assert_eq!(view.place(5, 8), 0);
        press(&mut view, "\t");
        assert_eq!((view.table, view.first), (Table::Refused, 0));
    }

    #[test]
    fn q_and_ctrl_c_end_it() {
        let mut view = View::default();
        press(&mut view, "?");
        assert!(view.help);
        // Whatever comes next takes the help away.
        assert_eq!(view.press(KeyCode::Char('q').into()), Next::Stay);
        assert_eq!(view.press(KeyCode::Char('q').into()), Next::End);
        view.typing = true;
        let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.press(ctrl_c), Next::End);
    }
}

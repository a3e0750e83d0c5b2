//! Columns of text that stand below each other.

/// Blanks between columns.
const GAP: usize = 3;
/// The widest column: a cell that is longer moves the rest of its own row alone, and costs nothing in all others.
const WIDEST: usize = 256;

/// A table with a head.
#[derive(Debug)]
pub(super) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// With this head.
    pub(super) fn new(head: [&str; COLUMNS]) -> Self {
        Self {
            rows: vec![head.map(str::to_owned)],
        }
    }

    /// Adds a row.
    pub(super) fn add(&mut self, row: [String; COLUMNS]) {
        self.rows.push(row.map(|text| cell(&text)));
    }

    /// The whole table.
    pub(super) fn text(&self) -> String {
        aligned(&self.rows)
    }
}

/// Rows, each column as wide as its widest cell, up to a bound; the last needs no width.
pub(super) fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().min(WIDEST).max(*width);
        }
    }
    if let Some(last) = widths.last_mut() {
        *last = 0;
    }
    let mut text = String::new();
    for row in rows {
        let begin = text.len();
        for (width, cell) in widths.iter().zip(row) {
            text.push_str(cell);
            let blanks = width.saturating_sub(cell.chars().count()) + GAP;
            text.extend(std::iter::repeat_n(' ', blanks));
        }
        let end = text.get(begin..).unwrap_or_default().trim_end().len();
        text.truncate(begin + end);
        text.push('\n');
    }
    text
}

/// A text of the node as it may stand in one place of a line: what could move elsewhere is written out.
pub(super) fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for one in text.chars() {
        if one.is_control() {
            cell.extend(one.escape_default());
        } else {
            cell.push(one);
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_lines_end_without_blanks() {
        let mut table = Table::new(["ID", "STATE", "LAST"]);
        table.add(["apid", "Running", ""].map(str::to_owned));
        table.add(["ü-long-one", "", "x"].map(str::to_owned));
        assert_eq!(
            table.text(),
            "\
ID           STATE     LAST
apid         Running
ü-long-one             x
"
        );
    }

    #[test]
    fn a_long_cell_is_not_paid_for_in_every_row() {
        let long = "x".repeat(100_000);
        let mut table = Table::new(["A", "B", "C"]);
        table.add([&long, "b", &long].map(str::to_owned));
        for _ in 0..2000 {
            table.add(["a", "b", "c"].map(str::to_owned));
        }
        let text = table.text();
        assert!(text.contains(&format!("\n{long}   b   {long}\n")));
        assert!(text.len() < 1 << 20, "{}", text.len());
    }

    #[test]
    fn what_a_node_says_fakes_no_line_and_no_colour() {
        let mut table = Table::new(["A"]);
        table.add(["one\ntwo\x1b[31m\ttab\u{9b}".to_owned()]);
        assert_eq!(table.text(), "A\none\\ntwo\\u{1b}[31m\\ttab\\u{9b}\n");
    }
}

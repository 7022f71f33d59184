//! Rows under headings, aligned, without lines: what a terminal and `awk` both read.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table as Drawn};

/// A table.
#[derive(Debug)]
pub struct Table {
    drawn: Drawn,
    columns: usize,
}

impl Table {
    /// A table with these headings.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        let mut drawn = Drawn::new();
        drawn
            .load_style(NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        if !headings.is_empty() {
            drawn.set_header(
                headings
                    .iter()
                    .map(|heading| crate::report::styled(crate::report::QUIET, heading)),
            );
        }
        Self {
            drawn,
            columns: headings.len(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.columns = self.columns.max(cells.len());
        self.drawn.add_row(cells);
    }

    /// Aligns a column to the right, as numbers are.
    pub fn right(&mut self, column: usize) {
        if let Some(column) = self.drawn.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.drawn.row_count() == 0
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in self.drawn.lines() {
            writeln!(formatter, " {}", line.trim_end())?;
        }
        Ok(())
    }
}

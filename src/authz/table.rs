//! Who may call what, as a table that a privacy officer can read.

use std::fmt::Write;

use super::action::Action;
use super::actor::Role;
use super::rulebook::{May, Rule};
use super::rules::Rules;

/// Every role against every call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    rows: Vec<Row>,
    always: Vec<Condition>,
    conditions: Vec<Condition>,
}

/// A call and who makes it, in the order of [`Role::ALL`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The call.
    pub action: Action,
    /// One cell for each role.
    pub cells: [May; Role::ALL.len()],
}

/// A rule by its id and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The rule's id.
    pub id: String,
    /// What must be so.
    pub says: String,
}

/// Works out who may call what.
#[must_use]
pub fn who_may_call_what(rules: &Rules) -> Table {
    let row = |action: &Action| Row {
        action: *action,
        cells: Role::ALL.map(|role| rules.may(role, *action).clone()),
    };
    let rows: Vec<Row> = Action::ALL.iter().map(row).collect();
    let used = |id: &str| {
        rows.iter().flat_map(|row| &row.cells).any(|cell| match cell {
            May::If(ids) => ids.iter().any(|own| own == id),
            May::No | May::Yes => false,
        })
    };
    let condition = |rule: &Rule| Condition { id: rule.id.clone(), says: rule.says.clone() };
    let told = rules.book.rules().filter(|rule| rule.reason.is_some() || used(&rule.id));
    let (always, conditions): (Vec<&Rule>, Vec<&Rule>) = told.partition(|rule| rule.is_for_every_call());
    let always = always.into_iter().map(condition).collect();
    let conditions = conditions.into_iter().map(condition).collect();
    Table { rows, always, conditions }
}

impl Table {
    /// The rows in the order of [`Action::ALL`].
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether a role makes a call.
    #[must_use]
    pub fn cell(&self, role: Role, action: Action) -> &May {
        let row = self.rows.iter().find(|row| row.action == action);
        let cell = Role::ALL.iter().position(|own| *own == role).and_then(|column| row?.cells.get(column));
        cell.unwrap_or(&May::No)
    }

    /// The table as Markdown, with what each condition says below it.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut page = String::from(INTRODUCTION);
        let mut package = "";
        for row in &self.rows {
            if row.action.package() != package {
                package = row.action.package();
                push_head(&mut page, package);
            }
            push_row(&mut page, row);
        }
        page.push_str("\n## What must be so for every call\n\n");
        push_conditions(&mut page, &self.always);
        page.push_str("\n## What the conditions say\n\n");
        push_conditions(&mut page, &self.conditions);
        page
    }
}

fn push_head(page: &mut String, package: &str) {
    let roles = Role::ALL.map(|role| role.as_str().replace('-', " ")).join(" | ");
    let rules = ["---"; Role::ALL.len() + 2].join(" | ");
    push(page, format_args!("\n## {package}\n\n| call | {roles} | only if |\n| {rules} |\n"));
}

fn push_row(page: &mut String, row: &Row) {
    let cells = row.cells.each_ref().map(|cell| match cell {
        May::No => "–",
        May::Yes => "yes",
        May::If(_) => "if",
    });
    let mut ids: Vec<&str> = Vec::new();
    for cell in &row.cells {
        if let May::If(own) = cell {
            ids.extend(own.iter().map(String::as_str));
        }
    }
    ids.sort_unstable();
    ids.dedup();
    let (_, call) = row.action.id().split_once('.').unwrap_or(("", row.action.id()));
    push(page, format_args!("| {call} | {} | {} |\n", cells.join(" | "), ids.join(", ")));
}

fn push_conditions(page: &mut String, conditions: &[Condition]) {
    for condition in conditions {
        push(page, format_args!("- **{}**: {}\n", condition.id, condition.says));
    }
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = page.write_fmt(text);
}

const INTRODUCTION: &str = "# Who may do what

Made from the rules in `policy/rules/`; a test keeps it up to date. **–**: refused, whatever else is so.
**yes**: permitted. **if**: permitted when all the conditions in the last column hold. What no rule permits
is refused.
";

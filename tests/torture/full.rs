use crate::row::{Form, Row};
pub(crate) const INSIDE: &str = "full-inside";
pub(crate) fn inside(_args: &[String]) -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
pub(crate) fn run(_form: Form) -> Row {
    Row::left_out("todo".into())
}

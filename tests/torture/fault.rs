use crate::row::{Form, Row};
pub(crate) fn run(_form: Form) -> Row {
    Row::left_out("todo".into())
}

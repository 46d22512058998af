//! A stream that a client wants to have made: its request with every rule applied that a schema cannot say.

use super::Invalid;
use super::subscription::Rejected;
use crate::filter::{Action, Filter, FilterError, TablePattern};
use crate::message::{CreateStreamRequest, Fault, StreamAction};
use crate::name::SlotName;

/// A stream to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// Its name, if it has one.
    pub name: Option<SlotName>,
    /// What it is about.
    pub filter: Filter,
    /// Whether it has a snapshot.
    pub snapshot: bool,
}

impl TryFrom<CreateStreamRequest> for Creation {
    type Error = Rejected;

    fn try_from(request: CreateStreamRequest) -> Result<Self, Rejected> {
        let (mut invalid, mut no_such_table) = (vec![], vec![]);
        let mut patterns = |member: &str, items: &[String]| {
            let mut patterns = vec![];
            for (index, item) in items.iter().enumerate() {
                match item.parse::<TablePattern>() {
                    Ok(pattern) => patterns.push(pattern),
                    Err(error) => {
                        let faults = if matches!(error, FilterError::NoSuchTable(_)) { &mut no_such_table } else { &mut invalid };
                        faults.extend(Invalid::at(&format!("/{member}/{index}"), error).faults);
                    }
                }
            }
            patterns
        };
        let tables = patterns("tables", &request.tables);
        let exclude_tables = patterns("excludeTables", &request.exclude_tables);
        let actions = request.actions.map(|actions| actions.into_iter().map(Action::from).collect());
        let filter = Filter::new(tables, exclude_tables, actions).map_err(|error| fault("/excludeTables", &error));
        let name = request.name.map(|name| name.parse().map_err(|error| fault("/name", &error))).transpose();
        let is_only_missing = invalid.is_empty() && filter.is_ok() && name.is_ok();
        invalid.append(&mut no_such_table);
        match (filter, name) {
            (Ok(filter), Ok(name)) if invalid.is_empty() => Ok(Self { name, filter, snapshot: request.snapshot }),
            (filter, name) => {
                invalid.extend(filter.err().into_iter().chain(name.err()).flatten());
                let invalid = Invalid { faults: invalid };
                Err(if is_only_missing { Rejected::NoSuchTable(invalid) } else { Rejected::Invalid(invalid) })
            }
        }
    }
}

fn fault(pointer: &str, error: &dyn std::fmt::Display) -> Vec<Fault> {
    Invalid::at(pointer, error).faults
}

impl From<StreamAction> for Action {
    fn from(action: StreamAction) -> Self {
        match action {
            StreamAction::Insert => Self::Insert,
            StreamAction::Update => Self::Update,
            StreamAction::Delete => Self::Delete,
            StreamAction::Truncate => Self::Truncate,
        }
    }
}

impl From<Action> for StreamAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Insert => Self::Insert,
            Action::Update => Self::Update,
            Action::Delete => Self::Delete,
            Action::Truncate => Self::Truncate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::read_value;
    use serde_json::{Value, json};

    fn creation(request: Value) -> Result<Creation, Rejected> {
        Creation::try_from(read_value::<CreateStreamRequest>(request)?)
    }

    fn pointers(request: Value) -> (bool, Vec<String>) {
        let (is_missing, invalid) = match creation(request).unwrap_err() {
            Rejected::Invalid(invalid) => (false, invalid),
            Rejected::NoSuchTable(invalid) => (true, invalid),
        };
        (is_missing, invalid.faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn all_may_be_left_out() {
        assert_eq!(creation(json!({})).unwrap(), Creation { name: None, filter: Filter::default(), snapshot: true });
    }

    #[test]
    fn items_are_read_as_those_of_lists() {
        let creation =
            creation(json!({"name": "a", "tables": ["T", "\"S\".*"], "actions": ["delete", "insert"], "snapshot": false})).unwrap();
        assert_eq!(creation.filter.tables, [TablePattern::list(r#"t,"S".*"#).unwrap()]);
        assert_eq!(creation.filter.actions.unwrap().to_string(), "insert,delete");
        assert_eq!((creation.name.unwrap().as_str(), creation.snapshot), ("a", false));
    }

    #[test]
    fn every_fault_has_its_place() {
        assert_eq!(pointers(json!({"tables": ["a", "b c"], "name": "1", "actions": [], "more": 1})).1.len(), 4);
        assert_eq!(pointers(json!({"tables": ["a", "pg_catalog.b"]})), (true, vec![String::from("/tables/1")]));
        assert_eq!(pointers(json!({"tables": ["a"], "excludeTables": ["A"]})), (false, vec![String::from("/excludeTables")]));
        for name in ["", "A", "a-b", "1a", &"a".repeat(64)] {
            assert_eq!(pointers(json!({"name": name})).1, ["/name"], "{name}");
        }
    }
}

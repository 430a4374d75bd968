//! The Cedar side of a policy folder: schema and rules, parsed once and validated strictly.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    ActionConstraint, Effect, Entity, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint,
    ResourceConstraint, Schema, ValidationMode, Validator,
};

use super::action::Action;
use super::actor::Role;
use super::bundle::Bundle;
use super::fault::PolicyFault;
use super::reason::Reason;

/// Schema and rules of a folder.
pub(super) struct RuleBook {
    pub(super) schema: Schema,
    pub(super) actions: BTreeMap<Action, Entity>,
    /// The rules that name an action, or every one. The others can't apply to it, and would be read all the same.
    policies: BTreeMap<Action, PolicySet>,
    rules: BTreeMap<String, Rule>,
    may: BTreeMap<(Role, Action), May>,
}

/// What is known of a rule without evaluating it.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) says: String,
    /// `Some` for rules that forbid, `None` for rules that permit.
    pub(super) reason: Option<Reason>,
    /// Everybody when `None`.
    role: Option<Role>,
    /// Every action when `None`.
    actions: Option<BTreeSet<Action>>,
    holds: Holds,
    /// What it is in Cedar's own form, without comments and layout.
    form: String,
    /// The file that it stands in.
    pub(super) file: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Always,
    Conditionally,
}

/// Whether a role makes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum May {
    /// Never.
    No,
    /// Yes, unless one of the rules for every call forbids it.
    Yes,
    /// Yes, if these rules (by id) are satisfied.
    If(Vec<String>),
}

impl RuleBook {
    pub(super) fn load(bundle: &Bundle) -> Result<Self, Vec<PolicyFault>> {
        let schema = schema(bundle).map_err(|fault| vec![fault])?;
        let mut faults = Vec::new();
        let actions = actions(&schema, bundle).unwrap_or_else(|found| {
            faults.extend(found);
            BTreeMap::new()
        });
        let mut policies = PolicySet::new();
        let mut places: BTreeMap<String, Place<'_>> = BTreeMap::new();
        let mut rules = BTreeMap::new();
        for (file, content) in bundle.files().filter(|(path, _)| is_rules_file(path)) {
            match read_rules(file, content) {
                Err(found) => faults.extend(found),
                Ok(found) => {
                    for (rule, policy, place) in found {
                        if rules.contains_key(&rule.id) {
                            faults.push(
                                place.fault(format!("the id `{}` stands twice; choose another", rule.id)),
                            );
                            continue;
                        }
                        if let Err(error) = policies.add(policy) {
                            faults.push(place.fault(error.to_string()));
                        }
                        places.insert(rule.id.clone(), place);
                        rules.insert(rule.id.clone(), rule);
                    }
                }
            }
        }
        if rules.is_empty() && faults.is_empty() {
            faults.push(PolicyFault::of_file("rules", "there are no rules; add files to `rules/`"));
        }
        faults.extend(validate(&schema, &policies, &places));
        if !faults.is_empty() {
            return Err(faults);
        }
        let policies = policies_of_each(&actions, &schema, &policies).map_err(|error| {
            vec![PolicyFault::of_file(SCHEMA_FILE, format!("the rules can't be told by action: {error}"))]
        })?;
        let may = may(&rules);
        Ok(Self { schema, actions, policies, rules, may })
    }

    /// The rules that can apply to an action.
    pub(super) fn policies_of(&self, action: Action) -> Option<&PolicySet> {
        self.policies.get(&action)
    }

    pub(super) fn rule(&self, id: &PolicyId) -> Option<&Rule> {
        let id: &str = id.as_ref();
        self.rules.get(id)
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.values()
    }

    pub(super) fn may(&self, role: Role, action: Action) -> &May {
        self.may.get(&(role, action)).unwrap_or(&May::No)
    }
}

impl Rule {
    /// Whether the rule is about every call, and so told once beside the table.
    pub(super) const fn is_for_every_call(&self) -> bool {
        self.actions.is_none()
    }

    /// Whether both decide alike and say the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.form == other.form
    }

    /// The role whose calls it is about; everybody's when `None`.
    pub(super) const fn role(&self) -> Option<Role> {
        self.role
    }

    fn concerns(&self, role: Role, action: Action) -> bool {
        self.role.is_none_or(|own| own == role)
            && self.actions.as_ref().is_none_or(|own| own.contains(&action))
    }
}

/// Where a rule stands.
struct Place<'a> {
    file: &'a str,
    text: &'a str,
    offset: usize,
}

impl Place<'_> {
    fn fault(&self, message: impl Into<String>) -> PolicyFault {
        PolicyFault::at(self.file, self.text, self.offset, message)
    }

    /// The fault at the place that Cedar tells, or else at the rule.
    fn fault_of(&self, error: &DetailedError) -> PolicyFault {
        cedar_fault(self.file, self.text, self.offset, error)
    }
}

fn schema(bundle: &Bundle) -> Result<Schema, PolicyFault> {
    let Some(content) = bundle.file(SCHEMA_FILE) else {
        return Err(PolicyFault::of_file(SCHEMA_FILE, "the Cedar schema is missing; add it"));
    };
    let text = utf8(SCHEMA_FILE, content)?;
    let (schema, mut warnings) = Schema::from_cedarschema_str(text)
        .map_err(|error| cedar_fault(SCHEMA_FILE, text, 0, &DetailedError::from(&error)))?;
    match warnings.next() {
        Some(warning) => Err(cedar_fault(SCHEMA_FILE, text, 0, &DetailedError::from(&warning))),
        None => Ok(schema),
    }
}

/// The actions of the schema: exactly the calls of the interface.
fn actions(schema: &Schema, bundle: &Bundle) -> Result<BTreeMap<Action, Entity>, Vec<PolicyFault>> {
    let text =
        bundle.file(SCHEMA_FILE).and_then(|content| std::str::from_utf8(content).ok()).unwrap_or_default();
    let fault = |needle: &str, message: String| {
        PolicyFault::at(SCHEMA_FILE, text, text.find(needle).unwrap_or(0), message)
    };
    let entities = schema.action_entities().map_err(|error| vec![fault("", error.to_string())])?;
    let mut actions = BTreeMap::new();
    let mut faults = Vec::new();
    for entity in entities {
        let uid = entity.uid();
        let id: &str = uid.id().as_ref();
        match Action::from_id(id) {
            Some(action) => {
                actions.insert(action, entity);
            }
            None => faults.push(fault(id, format!("`{id}` is not a call of the interface; remove it"))),
        }
    }
    for missing in Action::ALL.iter().filter(|action| !actions.contains_key(*action)) {
        faults.push(fault("", format!("the action `{missing}` is missing; add it")));
    }
    if faults.is_empty() { Ok(actions) } else { Err(faults) }
}

fn policies_of_each(
    actions: &BTreeMap<Action, Entity>,
    schema: &Schema,
    policies: &PolicySet,
) -> Result<BTreeMap<Action, PolicySet>, String> {
    let entities = schema.action_entities().map_err(|error| error.to_string())?;
    let of_one = |(action, entity): (&Action, &Entity)| {
        let uid = entity.uid();
        // A rule about a group of actions is about each of them.
        let names: Vec<&EntityUid> = entities.ancestors(&uid).into_iter().flatten().chain([&uid]).collect();
        let named = policies.policies().filter(|policy| match policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(one) => names.contains(&&one),
            ActionConstraint::In(some) => some.iter().any(|one| names.contains(&one)),
        });
        let named = PolicySet::from_policies(named.cloned()).map_err(|error| error.to_string())?;
        Ok((*action, named))
    };
    actions.iter().map(of_one).collect()
}

fn read_rules<'a>(
    file: &'a str,
    content: &'a [u8],
) -> Result<Vec<(Rule, Policy, Place<'a>)>, Vec<PolicyFault>> {
    let text = utf8(file, content).map_err(|fault| vec![fault])?;
    let parsed: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        errors.iter().map(|error| cedar_fault(file, text, 0, &DetailedError::from(error))).collect::<Vec<_>>()
    })?;
    let mut faults = Vec::new();
    if let Some(template) = parsed.templates().next() {
        let offset = text.find(&template.to_string()).unwrap_or(0);
        faults.push(PolicyFault::at(
            file,
            text,
            offset,
            "a rule with `?principal` or `?resource` applies to nobody; name them",
        ));
    }
    let mut rules = Vec::new();
    for policy in parsed.policies() {
        // A policy parsed from text shows that very text.
        let place = Place { file, text, offset: text.find(&policy.to_string()).unwrap_or(0) };
        match read_rule(policy, &place) {
            Ok(rule) => {
                let policy = policy.new_id(PolicyId::new(&rule.id));
                rules.push((rule, policy, place));
            }
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(rules) } else { Err(faults) }
}

fn read_rule(policy: &Policy, place: &Place<'_>) -> Result<Rule, PolicyFault> {
    let annotation = |key: &str| {
        policy.annotation(key).filter(|text| !text.trim().is_empty()).map(str::to_owned).ok_or_else(|| {
            place.fault(format!("the rule has no `@{key}(\"…\")`; docs/policy.md tells what belongs there"))
        })
    };
    let id = annotation("id")?;
    if !id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        return Err(place.fault(format!("the id `{id}` is not in lowercase letters, digits and `-`")));
    }
    let says = annotation("says")?;
    let reason = match policy.effect() {
        Effect::Permit if policy.annotation("reason").is_some() => {
            return Err(place.fault("a rule that permits has no reason for a refusal; remove `@reason`"));
        }
        Effect::Permit => None,
        Effect::Forbid => {
            let given = annotation("reason")?;
            Some(given.parse().map_err(|error| place.fault(format!("`{given}`: {error}")))?)
        }
    };
    let (role, role_holds) = role_of(policy);
    let conditions = [
        role_holds == Holds::Conditionally,
        policy.has_non_scope_constraint(),
        policy.resource_constraint() != ResourceConstraint::Any,
    ];
    let holds = if conditions.contains(&true) { Holds::Conditionally } else { Holds::Always };
    let form = policy.to_json().map_err(|error| place.fault(error.to_string()))?.to_string();
    let file = place.file.to_owned();
    Ok(Rule { id, says, reason, role, actions: actions_of(policy), holds, form, file })
}

/// The role that a rule's scope names; a scope that names somebody else is a condition.
fn role_of(policy: &Policy) -> (Option<Role>, Holds) {
    let role = |uid: &EntityUid| {
        let is_role = uid.type_name().to_string() == ROLE_TYPE;
        let id: &str = uid.id().as_ref();
        id.parse().ok().filter(|_| is_role)
    };
    match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => (None, Holds::Always),
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => match role(&uid) {
            Some(role) => (Some(role), Holds::Always),
            None => (None, Holds::Conditionally),
        },
        PrincipalConstraint::Eq(_) => (None, Holds::Conditionally),
    }
}

fn actions_of(policy: &Policy) -> Option<BTreeSet<Action>> {
    let uids = match policy.action_constraint() {
        ActionConstraint::Any => return None,
        ActionConstraint::Eq(uid) => vec![uid],
        ActionConstraint::In(uids) => uids,
    };
    Some(uids.iter().filter_map(|uid| Action::from_id(uid.id().as_ref())).collect())
}

/// Strict validation; what Cedar only warns about (a rule that never applies) is a fault here too.
fn validate(schema: &Schema, policies: &PolicySet, places: &BTreeMap<String, Place<'_>>) -> Vec<PolicyFault> {
    let result = Validator::new(schema.clone()).validate(policies, ValidationMode::Strict);
    let errors = result.validation_errors().map(|error| (error.policy_id(), DetailedError::from(error)));
    let warnings =
        result.validation_warnings().map(|warning| (warning.policy_id(), DetailedError::from(warning)));
    let fault = |(id, error): (&PolicyId, DetailedError)| {
        let id: &str = id.as_ref();
        places
            .get(id)
            .map_or_else(|| PolicyFault::of_file(id, &error.message), |place| place.fault_of(&error))
    };
    errors.chain(warnings).map(fault).collect()
}

fn may(rules: &BTreeMap<String, Rule>) -> BTreeMap<(Role, Action), May> {
    let pairs = Role::ALL.into_iter().flat_map(|role| Action::ALL.iter().map(move |action| (role, *action)));
    pairs.map(|(role, action)| ((role, action), may_one(rules, role, action))).collect()
}

fn may_one(rules: &BTreeMap<String, Rule>, role: Role, action: Action) -> May {
    let (forbids, permits): (Vec<&Rule>, Vec<&Rule>) =
        rules.values().filter(|rule| rule.concerns(role, action)).partition(|rule| rule.reason.is_some());
    if permits.is_empty() || forbids.iter().any(|rule| rule.holds == Holds::Always) {
        return May::No;
    }
    let mut ids: Vec<String> = Vec::new();
    if permits.iter().all(|rule| rule.holds == Holds::Conditionally) {
        ids.extend(permits.iter().map(|rule| rule.id.clone()));
    }
    let conditions = forbids.iter().filter(|rule| !rule.is_for_every_call());
    ids.extend(conditions.map(|rule| rule.id.clone()));
    if ids.is_empty() { May::Yes } else { May::If(ids) }
}

fn cedar_fault(file: &str, text: &str, otherwise: usize, error: &DetailedError) -> PolicyFault {
    let offset = error.source_locations.first().map_or(otherwise, |label| label.loc.start);
    let help = error.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    // Cedar's messages may run over several lines; a fault is one.
    let message = format!("{}{help}", error.message).split_whitespace().collect::<Vec<_>>().join(" ");
    PolicyFault::at(file, text, offset, message)
}

fn utf8<'a>(file: &str, content: &'a [u8]) -> Result<&'a str, PolicyFault> {
    std::str::from_utf8(content)
        .map_err(|_| PolicyFault::of_file(file, "this is not UTF-8; save the file as UTF-8"))
}

/// Whether this is where rules stand.
pub(super) fn is_rules_file(path: &str) -> bool {
    path.strip_prefix("rules/").is_some_and(|name| !name.contains('/') && name.ends_with(".cedar"))
}

/// Where the Cedar schema stands.
pub(super) const SCHEMA_FILE: &str = "onebit.cedarschema";
const ROLE_TYPE: &str = "Role";

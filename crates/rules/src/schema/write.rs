//! From a schema to JSON, always with the same members in the same order.

use serde_json::{Map, Value as Json, json};

use super::{
    AttributeDefinition, AttributeMappingText, Directory, FLOW_BEHAVIORS, ObjectDefinition,
    ObjectMappingText, Parameter, Rule, Schema, ScopeText, Source, Word,
};
use crate::mapping::Actions;
use crate::scope::{ClauseText, FilterText};

/// The document of a schema.
pub(super) fn document(schema: &Schema) -> Json {
    with(
        json!({
            "id": schema.id,
            "version": schema.version,
            "directories": each(&schema.directories, directory),
            "synchronizationRules": each(&schema.rules, rule),
        }),
        &schema.other,
    )
}

fn each<T>(items: &[T], write: impl Fn(&T) -> Json) -> Json {
    items.iter().map(write).collect()
}

/// The members that we know, then those that we do not.
fn with(json: Json, other: &Map<String, Json>) -> Json {
    let mut json = json;
    if let Json::Object(members) = &mut json {
        for (name, value) in other {
            members.insert(name.clone(), value.clone());
        }
    }
    json
}

fn directory(directory: &Directory) -> Json {
    with(
        json!({
            "id": directory.id,
            "name": directory.name,
            "readOnly": directory.read_only,
            "discoverabilities": directory.discoverabilities,
            "discoveryDateTime": directory.discovered,
            "version": directory.version,
            "objects": each(&directory.objects, object),
        }),
        &directory.other,
    )
}

fn object(object: &ObjectDefinition) -> Json {
    with(
        json!({
            "name": object.name,
            "metadata": object.metadata,
            "supportedApis": object.supported_apis,
            "attributes": each(&object.attributes, attribute),
        }),
        &object.other,
    )
}

fn attribute(attribute: &AttributeDefinition) -> Json {
    let referenced = each(&attribute.referenced, |object| {
        with(
            json!({
                "referencedObjectName": object.name,
                "referencedProperty": object.property,
            }),
            &object.other,
        )
    });
    with(
        json!({
            "name": attribute.name,
            "type": attribute.kind.word(),
            "anchor": attribute.anchor,
            "caseExact": attribute.case_exact,
            "defaultValue": attribute.default,
            "flowNullValues": attribute.flow_null_values,
            "metadata": attribute.metadata,
            "multivalued": attribute.multi_valued,
            "mutability": attribute.mutability.word(),
            "referencedObjects": referenced,
            "required": attribute.required,
            "apiExpressions": attribute.api_expressions,
        }),
        &attribute.other,
    )
}

fn rule(rule: &Rule) -> Json {
    with(
        json!({
            "id": rule.id,
            "name": rule.name,
            "priority": rule.priority,
            "editable": rule.editable,
            "sourceDirectoryName": rule.source_directory,
            "targetDirectoryName": rule.target_directory,
            "containerFilter": rule.container_filter,
            "groupFilter": rule.group_filter,
            "metadata": rule.metadata,
            "objectMappings": each(&rule.object_mappings, object_mapping),
        }),
        &rule.other,
    )
}

fn object_mapping(mapping: &ObjectMappingText) -> Json {
    with(
        json!({
            "name": mapping.name,
            "enabled": mapping.enabled,
            "flowTypes": flow_types(mapping.actions),
            "sourceObjectName": mapping.source_object,
            "targetObjectName": mapping.target_object,
            "metadata": mapping.metadata,
            "scope": mapping.scope.as_ref().map(scope),
            "attributeMappings": each(&mapping.attribute_mappings, attribute_mapping),
        }),
        &mapping.other,
    )
}

fn flow_types(actions: Actions) -> String {
    let flags: Vec<&str> = [
        (actions.create, "Add"),
        (actions.update, "Update"),
        (actions.delete, "Delete"),
    ]
    .into_iter()
    .filter_map(|(on, flag)| on.then_some(flag))
    .collect();
    if flags.is_empty() {
        "None".to_owned()
    } else {
        flags.join(", ")
    }
}

fn scope(scope: &ScopeText) -> Json {
    with(
        json!({
            "groups": each(&scope.groups, filter),
            "inputFilterGroups": each(&scope.input_groups, filter),
            "categoryFilterGroups": each(&scope.category_groups, filter),
        }),
        &scope.other,
    )
}

fn filter(filter: &FilterText) -> Json {
    with(
        json!({ "name": filter.title, "clauses": each(&filter.clauses, clause) }),
        &filter.other,
    )
}

fn clause(clause: &ClauseText) -> Json {
    let operand = with(json!({ "values": clause.values }), &clause.other_operand);
    with(
        json!({
            "sourceOperandName": clause.attribute,
            "operatorName": clause.operator,
            "targetOperand": operand,
        }),
        &clause.other,
    )
}

fn attribute_mapping(mapping: &AttributeMappingText) -> Json {
    let behavior = FLOW_BEHAVIORS
        .iter()
        .find(|(always, _)| *always == mapping.flow_always)
        .map_or("", |(_, word)| word);
    let mut json = with(
        json!({
            "targetAttributeName": mapping.target,
            "matchingPriority": mapping.matching_priority,
            "defaultValue": mapping.default,
            "exportMissingReferences": mapping.export_missing_references,
            "flowBehavior": behavior,
            "flowType": mapping.flow_type.word(),
            "source": mapping.source.as_ref().map(Source::to_value),
        }),
        &mapping.other,
    );
    if let (Some(flag), Json::Object(members)) = (mapping.flow_null_values, &mut json) {
        members.insert("flowNullValues".to_owned(), flag.into());
    }
    json
}

impl Source {
    /// The node as JSON, as the control API's `parsedExpression` has it.
    pub fn to_value(&self) -> Json {
        with(
            json!({
                "type": self.kind.word(),
                "name": self.name,
                "expression": self.expression,
                "parameters": each(&self.parameters, |parameter: &Parameter| with(
                    json!({ "key": parameter.key, "value": parameter.value.to_value() }),
                    &parameter.other,
                )),
            }),
            &self.other,
        )
    }
}

//! Carrying a template out.

use std::borrow::Cow;

use serde_json::Value;

use super::parse::{Call, Node, Operand, Pipe, What};
use super::{Missing, TemplateError, functions};

struct Run<'a> {
    missing: Missing<'a>,
    /// The titles of a table: functions hand their first argument on.
    header: bool,
    root: &'a Value,
    variables: Vec<(String, Value)>,
    out: String,
}

pub(super) fn render(
    nodes: &[Node],
    data: &Value,
    missing: Missing<'_>,
    header: bool,
) -> Result<String, TemplateError> {
    let variables = Vec::new();
    let mut run = Run { missing, header, root: data, variables, out: String::new() };
    run.nodes(nodes, data)?;
    Ok(run.out)
}

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), TemplateError> {
        let scope = self.variables.len();
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Print(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    self.out.push_str(&functions::text(&value));
                }
                Node::Set(name, pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    self.variables.push((name.clone(), value));
                }
                Node::If(name, pipe, body, otherwise) => {
                    let value = self.pipe(pipe, dot)?;
                    self.variables.extend(name.clone().map(|name| (name, value.clone())));
                    self.nodes(if functions::is_true(&value) { body } else { otherwise }, dot)?;
                }
                Node::With(name, pipe, body, otherwise) => {
                    let value = self.pipe(pipe, dot)?;
                    self.variables.extend(name.clone().map(|name| (name, value.clone())));
                    if functions::is_true(&value) {
                        self.nodes(body, &value)?;
                    } else {
                        self.nodes(otherwise, dot)?;
                    }
                }
                Node::Range(names, pipe, body, otherwise) => {
                    let value = self.pipe(pipe, dot)?;
                    let items = items(&value).ok_or_else(|| {
                        let reason = format!("range can't iterate over {}", functions::text(&value));
                        at(pipe.commands.first().and_then(|call| call.words.first()), None, &reason)
                    })?;
                    if items.is_empty() {
                        self.nodes(otherwise, dot)?;
                    }
                    for (key, item) in items {
                        let scope = self.variables.len();
                        match names.as_slice() {
                            [] => {}
                            [element] => self.variables.push((element.clone(), item.clone())),
                            [index, element, ..] => {
                                self.variables.push((index.clone(), key));
                                self.variables.push((element.clone(), item.clone()));
                            }
                        }
                        self.nodes(body, &item)?;
                        self.variables.truncate(scope);
                    }
                }
            }
        }
        self.variables.truncate(scope);
        Ok(())
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, TemplateError> {
        let mut last = None;
        for call in &pipe.commands {
            last = Some(self.call(call, dot, last)?);
        }
        Ok(last.unwrap_or_default())
    }

    fn call(&mut self, call: &Call, dot: &Value, piped: Option<Value>) -> Result<Value, TemplateError> {
        let Some((first, rest)) = call.words.split_first() else { return Ok(Value::Null) };
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        for word in rest {
            arguments.push(self.operand(word, dot)?);
        }
        arguments.extend(piped);
        let What::Function(name) = &first.what else {
            return self.value(first, dot, &arguments);
        };
        if self.header {
            return Ok(arguments.into_iter().find(Value::is_string).unwrap_or_default());
        }
        let named = |reason: &str| at(Some(first), Some(name.clone()), reason);
        functions::check_count(name, arguments.len()).map_err(|reason| named(&reason))?;
        for (index, value) in arguments.iter().enumerate() {
            let word = rest.get(index);
            let is_literal = word.is_some_and(|word| matches!(word.what, What::Literal(_)));
            functions::check_kind(name, index, value, is_literal)
                .map_err(|reason| at(word.or(Some(first)), None, &reason))?;
        }
        if name == "json" && self.is_row(&rest.iter().collect::<Vec<_>>(), dot) {
            // What takes an argument is a method in docker's rows, and no part of them.
            for value in &mut arguments {
                value.as_object_mut().into_iter().for_each(|row| row.retain(|_, field| !field.is_object()));
            }
        }
        let written = || call.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        functions::call(name, &arguments)
            .map_err(|reason| at(Some(first), Some(written()), &format!("error calling {name}: {reason}")))
    }

    /// Says whether the words are a listing's row, as it is.
    fn is_row(&self, words: &[&Operand], dot: &Value) -> bool {
        let is_dot = |word: &&Operand| matches!(word.what, What::Dot) && word.fields.is_empty();
        matches!(self.missing, Missing::Row(_)) && std::ptr::eq(dot, self.root) && words.iter().all(is_dot)
    }

    /// A value, or a method of docker's rows: every field of those is one, and such as `.Label "a"` take an argument.
    fn value(&mut self, first: &Operand, dot: &Value, arguments: &[Value]) -> Result<Value, TemplateError> {
        let failed = |reason: &str| at(Some(first), None, reason);
        if arguments.is_empty() && matches!(first.what, What::Literal(Value::Null)) {
            return Err(failed("nil is not a command"));
        }
        let value = self.operand(first, dot)?;
        let field = match (first.fields.as_slice(), self.missing) {
            ([field], Missing::Row(_)) if matches!(first.what, What::Dot) && std::ptr::eq(dot, self.root) => {
                Some(field)
            }
            _ => None,
        };
        match (arguments, &value, field) {
            _ if self.header => Ok(value),
            ([key], Value::Object(_), _) => {
                functions::call("index", &[value, key.clone()]).map_err(|reason| failed(&reason))
            }
            (_, Value::Object(_), Some(field)) => {
                Err(failed(&format!("wrong number of args for {field}: want 1 got {}", arguments.len())))
            }
            ([], ..) => Ok(value),
            (_, _, Some(field)) => {
                Err(failed(&format!("wrong number of args for {field}: want 0 got {}", arguments.len())))
            }
            _ => Err(failed(&match first.fields.last() {
                Some(field) => format!("{field} is not a method but has arguments"),
                None => format!("can't give argument to non-function {}", first.text),
            })),
        }
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, TemplateError> {
        let value = match &operand.what {
            // Borrowed: a thousand rows of a listing are not cloned for each of their fields.
            What::Dot => Cow::Borrowed(dot),
            What::Variable(name) if name == "$" => Cow::Borrowed(self.root),
            What::Literal(value) => Cow::Borrowed(value),
            What::Variable(name) => {
                let found = self.variables.iter().rev().find(|(other, _)| other == name);
                Cow::Owned(found.map(|(_, value)| value.clone()).unwrap_or_default())
            }
            What::Pipe(pipe) => Cow::Owned(self.pipe(pipe, dot)?),
            What::Function(name) => Cow::Owned(
                functions::call(name, &[])
                    .map_err(|reason| at(Some(operand), None, &format!("error calling {name}: {reason}")))?,
            ),
        };
        let is_root = matches!(operand.what, What::Dot) && std::ptr::eq(dot, self.root);
        let mut value = value;
        for (depth, name) in operand.fields.iter().enumerate() {
            let found = self.field(&value, name, is_root && depth == 0);
            value = Cow::Owned(found.map_err(|reason| at(Some(operand), None, &reason))?);
        }
        Ok(value.into_owned())
    }

    fn field(&self, value: &Value, name: &str, top: bool) -> Result<Value, String> {
        let found = match value {
            // docker's own names differ from its JSON's in this one.
            Value::Object(map) => map.get(name).or_else(|| if name == "ID" { map.get("Id") } else { None }),
            Value::Null if self.missing != Missing::NoValue => {
                return Err(format!("nil pointer evaluating interface {{}}.{name}"));
            }
            Value::Null => None,
            // docker's rows have types, inspected objects are what JSON makes of them.
            _ => {
                let typed = matches!(self.missing, Missing::Refused(_) | Missing::Row(_));
                let kind = if typed { functions::kind(value) } else { "interface {}" };
                return Err(format!("can't evaluate field {name} in type {kind}"));
            }
        };
        match (found, self.missing) {
            (Some(value), _) => Ok(value.clone()),
            (None, Missing::NoValue) => Ok(Value::Null),
            (None, Missing::Refused(kind) | Missing::Row(kind)) if top => {
                Err(format!("can't evaluate field {name} in type {kind}"))
            }
            (None, _) => Err(format!("map has no entry for key {name:?}")),
        }
    }
}

fn items(value: &Value) -> Option<Vec<(Value, Value)>> {
    match value {
        Value::Array(list) => {
            Some(list.iter().enumerate().map(|(index, item)| (Value::from(index), item.clone())).collect())
        }
        Value::Object(map) => {
            let mut items: Vec<_> =
                map.iter().map(|(key, item)| (Value::from(key.as_str()), item.clone())).collect();
            items.sort_by(|a, b| a.0.as_str().cmp(&b.0.as_str()));
            Some(items)
        }
        Value::Null => Some(Vec::new()),
        _ => None,
    }
}

/// An error with Go's position and context.
fn at(operand: Option<&Operand>, text: Option<String>, reason: &str) -> TemplateError {
    let Some(operand) = operand else { return TemplateError(format!("template: : {reason}")) };
    let shown = text.unwrap_or_else(|| operand.text.clone());
    let (line, column) = (operand.line, operand.column);
    TemplateError(format!("template: :{line}:{column}: executing \"\" at <{shown}>: {reason}"))
}

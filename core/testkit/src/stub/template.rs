//! Templates in strings of a step: values out of earlier tool results.

use serde_json::{Map, Value};

/// The tool results of a conversation, read as JSON where they hold any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Results {
    last: Option<Value>,
    all: Vec<Value>,
}

impl Results {
    /// Reads the results, oldest first.
    pub(crate) fn read<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let read: Vec<Option<Value>> = texts.map(json_in).collect();
        Self { last: read.last().cloned().flatten(), all: read.into_iter().flatten().collect() }
    }

    /// Fills a string; `Err` holds the template that has no value.
    pub(crate) fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, template, after)) = next_template(rest) {
            filled.push_str(before);
            match self.look_up(template)? {
                Value::String(text) => filled.push_str(&text),
                other => filled.push_str(&other.to_string()),
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// Fills every string of a tool input; a string that is one template takes the value's own type.
    pub(crate) fn fill_value(&self, value: &Value) -> Result<Value, String> {
        match value {
            Value::String(text) => match next_template(text) {
                Some(("", template, "")) => self.look_up(template),
                _ => self.fill(text).map(Value::String),
            },
            Value::Array(items) => items.iter().map(|item| self.fill_value(item)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, item)| Ok((key.clone(), self.fill_value(item)?)))
                .collect::<Result<Map<_, _>, _>>()
                .map(Value::Object),
            other => Ok(other.clone()),
        }
    }

    fn look_up(&self, template: &str) -> Result<Value, String> {
        let found = match template.split_once(':') {
            Some(("last", pointer)) => self.last.as_ref().and_then(|last| last.pointer(pointer)),
            Some(("find", key)) => {
                let (key, nth) = match key.rsplit_once(':').map(|(key, nth)| (key, nth.parse())) {
                    Some((key, Ok(nth))) => (key, nth),
                    _ => (key, 0),
                };
                let mut hits = Vec::new();
                self.all.iter().for_each(|value| collect_under(key, value, &mut hits));
                hits.get(nth).copied()
            }
            _ => None,
        };
        found.cloned().ok_or_else(|| template.to_owned())
    }
}

/// Splits at the first `{{last:…}}` or `{{find:…}}`; other braces are ordinary text.
fn next_template(text: &str) -> Option<(&str, &str, &str)> {
    text.match_indices("{{").find_map(|(at, open)| {
        let (template, after) = text[at + open.len()..].split_once("}}")?;
        let known = template.starts_with("last:") || template.starts_with("find:");
        known.then_some((&text[..at], template, after))
    })
}

/// The JSON that a result is, or the first that stands in it.
fn json_in(text: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(text.trim()) {
        return Some(value);
    }
    let start = text.find(['{', '['])?;
    serde_json::Deserializer::from_str(&text[start..]).into_iter().next()?.ok()
}

fn collect_under<'a>(key: &str, value: &'a Value, hits: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            hits.extend(fields.get(key));
            fields.values().for_each(|item| collect_under(key, item, hits));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_under(key, item, hits)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn results() -> Results {
        Results::read(
            [
                r#"{"worker_id":"w1","deep":[{"n":7}]}"#,
                "plain text",
                "Created:\n{\"workers\":[{\"worker_id\":\"w2\"}],\"n\":8}\nbye",
            ]
            .into_iter(),
        )
    }

    #[test]
    fn templates_take_values_from_tool_results() {
        let table = [
            ("{{last:/workers/0/worker_id}}", json!("w2")),
            ("{{find:worker_id}}", json!("w1")),
            ("{{find:worker_id:1}}", json!("w2")),
            ("{{find:n}}", json!(7)),
            ("n={{find:n}}, w={{find:worker_id}}.", json!("n=7, w=w1.")),
            ("all: {{find:workers}}", json!(r#"all: [{"worker_id":"w2"}]"#)),
            ("{{.Names}} {{find:n:1}} }}", json!("{{.Names}} 8 }}")),
        ];
        for (template, expected) in table {
            assert_eq!(
                results().fill_value(&json!({"x": [template]})),
                Ok(json!({"x": [expected]})),
                "{template}"
            );
        }
    }

    #[test]
    fn a_template_without_value_is_named() {
        for template in ["last:/nope", "find:nope", "find:n:2"] {
            assert_eq!(results().fill(&format!("a {{{{{template}}}}}")), Err(template.to_owned()));
        }
        assert_eq!(Results::default().fill("{{last:/a}}"), Err("last:/a".to_owned()));
    }
}

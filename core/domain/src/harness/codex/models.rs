//! Which models and efforts fit.

use super::super::is_model_name;
use crate::api::{ApiError, Effort, ErrorCode};

/// Models that the CLI knows (`model/list`), and whether each takes the effort `max`; all take the others.
const MODELS: &[(&str, bool)] = &[
    ("gpt-6.1-sol", true),
    ("gpt-6.1-terra", true),
    ("gpt-6-astra", true),
    ("gpt-6-sol", true),
    ("gpt-6-luna", true),
    ("gpt-5.6-sol", true),
    ("gpt-5.6-terra", true),
    ("gpt-5.6-luna", true),
    ("gpt-5.5", false),
];

/// Words that only another vendor's model has in its name.
const FOREIGN: &[&str] = &[
    "claude", "sonnet", "opus", "haiku", "gemini", "gemma", "grok", "llama", "mistral", "devstral",
    "deepseek", "qwen", "kimi", "glm", "minimax",
];

/// See [`super::Harness::check_model`].
pub(super) fn check(model: Option<&str>, effort: Option<Effort>) -> Result<Option<String>, ApiError> {
    let Some(model) = model else { return Ok(None) };
    if !is_possible(model) {
        return Err(mismatch("model", format!("`{model}` is not a model of Codex")).hint(known()));
    }
    let Some((_, takes_max)) = MODELS.iter().find(|(name, _)| *name == model) else {
        return Ok(Some(format!("`{model}` is no model that this version of Codex knows; {}", known())));
    };
    if effort == Some(Effort::Max) && !takes_max {
        let hint = "use one of: low, medium, high, xhigh";
        return Err(mismatch("effort", format!("`{model}` does not take the effort `max`")).hint(hint));
    }
    Ok(None)
}

fn mismatch(field: &str, message: String) -> ApiError {
    ApiError::new(ErrorCode::ModelMismatch, message).field(field)
}

fn known() -> String {
    let names: Vec<_> = MODELS.iter().map(|(name, _)| *name).collect();
    format!("known are: {}", names.join(", "))
}

/// A name that a provider of this API could have.
fn is_possible(model: &str) -> bool {
    let lower = model.to_ascii_lowercase();
    !model.is_empty() && is_model_name(model) && !FOREIGN.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_models_pass_unknown_ones_are_warned_of_and_foreign_ones_are_refused() {
        assert_eq!(check(None, Some(Effort::Max)), Ok(None));
        for (model, _) in MODELS {
            assert_eq!(check(Some(model), Some(Effort::Xhigh)), Ok(None), "{model}");
        }
        for model in ["gpt-7", "o5", "openai/gpt-oss:120b", "my-deployment"] {
            let warning = check(Some(model), Some(Effort::Max)).unwrap().unwrap();
            assert!(warning.contains(model) && warning.contains("gpt-5.5"), "{warning}");
        }
        for model in ["", "sonnet", "claude-opus-4-1", "Gemini-3-pro", "grok-4", "--x", "gpt 5", "gpt\n"] {
            let error = check(Some(model), None).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), (ErrorCode::ModelMismatch, Some("model")));
            assert!(error.hint.contains("gpt-5.5"), "{}", error.hint);
        }
    }

    #[test]
    fn an_effort_that_a_model_does_not_take_is_refused_with_those_that_it_takes() {
        let error = check(Some("gpt-5.5"), Some(Effort::Max)).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (ErrorCode::ModelMismatch, Some("effort")));
        assert!(error.hint.contains("low, medium, high, xhigh"), "{}", error.hint);
        assert_eq!(check(Some("gpt-6-sol"), Some(Effort::Max)), Ok(None));
    }
}

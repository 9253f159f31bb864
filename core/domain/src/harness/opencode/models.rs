//! Which models fit: `provider/model`.

use super::PROVIDERS;
use crate::api::{ApiError, ErrorCode};

/// See [`super::Harness::check_model`]. Which models a provider has is known in the sandbox only.
pub(super) fn check(model: Option<&str>) -> Result<Option<String>, ApiError> {
    let Some(name) = model else { return Ok(None) };
    let Some((provider, _)) = split(name) else {
        let message = format!("`{name}` is not a model of OpenCode");
        return Err(ApiError::new(ErrorCode::ModelMismatch, message).field("model").hint(
            "write `provider/model`, for instance `openai/gpt-5.5` or `anthropic/claude-sonnet-4-5`, or leave it out",
        ));
    };
    if PROVIDERS.iter().any(|known| known.id == provider) {
        return Ok(None);
    }
    Ok(Some(format!("the daemon has no key for provider `{provider}`: OpenCode's own login must hold it")))
}

/// Provider and model.
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    let (provider, model) = name.split_once('/')?;
    let id = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let legal = !provider.is_empty()
        && provider.chars().all(id)
        && !provider.starts_with(['-', '.'])
        && !model.is_empty()
        && name.len() <= 200
        && model.chars().all(|c| id(c) || ":/@".contains(c));
    legal.then_some((provider, model))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_named_with_the_model() {
        for model in ["openai/gpt-5.5", "anthropic/claude-sonnet-4-5", "openai/ft:gpt-4o:me/x"] {
            assert_eq!(check(Some(model)), Ok(None), "{model}");
        }
        assert_eq!(check(None), Ok(None));
        let warning = check(Some("mistral/devstral-2")).unwrap().unwrap();
        assert!(warning.contains("`mistral`"), "{warning}");
        for model in ["", "gpt-5.5", "/gpt", "openai/", "-x/y", "open ai/x", "openai/x\n"] {
            let error = check(Some(model)).unwrap_err();
            let found = (error.code, error.field.as_deref());
            assert_eq!(found, (ErrorCode::ModelMismatch, Some("model")), "{model}");
            assert!(error.hint.contains("openai/"), "{}", error.hint);
        }
    }
}

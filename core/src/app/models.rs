//! Model and effort of a new mission: what was asked for, else what is set, held against the backend.

use sandboxed_domain::api::{ApiError, Effort};
use sandboxed_domain::harness::Harness;

use crate::mission::MissionSettings;

/// What a mission gets.
#[derive(Debug)]
pub(super) struct Choice {
    pub model: Option<String>,
    pub effort: Option<Effort>,
    /// The backend takes it and does not know it.
    pub warning: Option<String>,
}

/// Chooses. What was asked for is never swapped; a default that does not fit is refused by the name of its setting.
pub(super) fn choose(
    settings: &MissionSettings,
    harness: &dyn Harness,
    model: Option<&str>,
    effort: Option<Effort>,
) -> Result<Choice, ApiError> {
    let id = harness.id();
    let chosen = model.or_else(|| settings.default_model(id));
    let wanted = effort.or_else(|| settings.default_effort(id));
    let warning = harness.check_model(chosen, wanted).map_err(|error| {
        let setting = match error.field.as_deref() {
            Some("model") if model.is_none() => "SANDBOXED_SH_DEFAULT_MODEL_",
            Some("effort") if effort.is_none() => "SANDBOXED_SH_DEFAULT_EFFORT_",
            _ => return error,
        };
        error.field(format!("{setting}{}", id.to_uppercase()))
    })?;
    Ok(Choice { model: chosen.map(str::to_owned), effort: wanted, warning })
}

#[cfg(test)]
mod tests {
    use sandboxed_domain::harness::registry;

    use super::*;

    /// A harness that takes models, and one that it does not take.
    fn picky() -> &'static dyn Harness {
        *registry().iter().find(|harness| harness.check_model(Some(" "), None).is_err()).unwrap()
    }

    fn settings(name: &str, value: &str) -> MissionSettings {
        MissionSettings::parse(1, |asked| (asked == name).then(|| value.to_owned())).unwrap()
    }

    #[test]
    fn a_default_serves_where_none_is_named_and_one_that_does_not_fit_is_refused_by_its_setting() {
        let harness = picky();
        let name = format!("SANDBOXED_SH_DEFAULT_MODEL_{}", harness.id().to_uppercase());
        let error = choose(&settings(&name, " "), harness, None, None).unwrap_err();
        assert_eq!(error.field, Some(name.clone()));
        let error = choose(&settings(&name, " "), harness, Some("-"), None).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("model"), "what was asked for is at fault, not the setting");
        let effort = format!("SANDBOXED_SH_DEFAULT_EFFORT_{}", harness.id().to_uppercase());
        let chosen = choose(&settings(&effort, "high"), harness, None, None).unwrap();
        assert_eq!((chosen.model, chosen.effort), (None, Some(Effort::High)));
        let chosen = choose(&settings(&effort, "high"), harness, None, Some(Effort::Low)).unwrap();
        assert_eq!(chosen.effort, Some(Effort::Low));
    }
}

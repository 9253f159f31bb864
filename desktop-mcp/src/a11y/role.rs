//! What kinds of objects there are, in the words that models know, and which of them are worth a line.

use atspi::{Role, State};

use super::Element;

/// What an outline does with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A window or dialog: always there, with a reference.
    Window,
    /// Something to be acted on: always there, with a reference.
    Control,
    /// There when it has a name or takes focus: it holds others.
    Holder,
    /// Words: there when it has some.
    Words,
    /// Only what is in it counts.
    Frame,
}

/// The kind of an object.
pub fn kind(element: &Element) -> Kind {
    use Role as R;
    if element.is(State::Editable) {
        return Kind::Control;
    }
    match element.role {
        R::Frame
        | R::Dialog
        | R::Window
        | R::InternalFrame
        | R::FileChooser
        | R::ColorChooser
        | R::FontChooser => Kind::Window,
        R::Button
        | R::PushButtonMenu
        | R::ToggleButton
        | R::CheckBox
        | R::CheckMenuItem
        | R::RadioButton
        | R::RadioMenuItem
        | R::ComboBox
        | R::Entry
        | R::PasswordText
        | R::SpinButton
        | R::Slider
        | R::Dial
        | R::Link
        | R::ListItem
        | R::Menu
        | R::MenuItem
        | R::TearoffMenuItem
        | R::PageTab
        | R::TableCell
        | R::TreeItem
        | R::ColumnHeader
        | R::TableColumnHeader
        | R::Icon
        | R::Terminal
        | R::DateEditor => Kind::Control,
        R::List
        | R::ListBox
        | R::Table
        | R::Tree
        | R::TreeTable
        | R::MenuBar
        | R::PageTabList
        | R::ToolBar
        | R::DocumentWeb
        | R::DocumentFrame
        | R::DocumentText
        | R::Alert
        | R::Grouping
        | R::Form
        | R::Landmark
        | R::Image
        | R::Canvas
        | R::DrawingArea
        | R::Panel => Kind::Holder,
        R::Label
        | R::Static
        | R::Text
        | R::Heading
        | R::Paragraph
        | R::Caption
        | R::ToolTip
        | R::StatusBar
        | R::ProgressBar
        | R::LevelBar
        | R::Notification
        | R::InfoBar
        | R::DescriptionValue
        | R::DescriptionTerm
        | R::BlockQuote
        | R::Article
        | R::Section => Kind::Words,
        _ => Kind::Frame,
    }
}

/// Whether it gets a reference.
pub fn is_actionable(element: &Element) -> bool {
    match kind(element) {
        Kind::Window | Kind::Control => true,
        Kind::Holder => !element.name.is_empty() || element.is(State::Focusable),
        Kind::Words | Kind::Frame => element.is(State::Focusable) && !element.name.is_empty(),
    }
}

/// The role in a word.
pub fn word(element: &Element) -> &'static str {
    use Role as R;
    match element.role {
        R::Frame | R::Window | R::InternalFrame => "window",
        R::PushButtonMenu => "menu button",
        R::CheckBox => "checkbox",
        R::RadioButton => "radio button",
        R::ComboBox => "combobox",
        R::PasswordText => "password field",
        R::Entry => "text field",
        R::Text if element.is(State::Editable) => {
            if element.is(State::MultiLine) {
                "text area"
            } else {
                "text field"
            }
        }
        R::Label | R::Static | R::Text | R::Section => "text",
        R::PageTab => "tab",
        R::PageTabList => "tabs",
        R::TableCell => "cell",
        R::TableColumnHeader => "column header",
        R::SpinButton => "number field",
        R::DocumentWeb | R::DocumentFrame | R::DocumentText => "document",
        R::Panel | R::Grouping => "group",
        R::Button => "button",
        role => role.name(),
    }
}

/// States that say something, in words.
pub fn states(element: &Element) -> Vec<&'static str> {
    let checkable = matches!(
        element.role,
        Role::CheckBox | Role::CheckMenuItem | Role::RadioButton | Role::RadioMenuItem | Role::ToggleButton
    ) || element.is(State::Checkable);
    let control = matches!(kind(element), Kind::Control);
    [
        (element.is(State::Active) && kind(element) == Kind::Window, "active"),
        (element.is(State::Modal), "modal"),
        (element.is(State::Focused), "focused"),
        (control && !element.is_enabled(), "disabled"),
        (element.is(State::Indeterminate) && checkable, "partly checked"),
        (element.is(State::Checked), "checked"),
        (element.is(State::Pressed), "pressed"),
        (element.is(State::Selected), "selected"),
        (element.is(State::Expanded), "expanded"),
        (element.is(State::Collapsed), "collapsed"),
        (element.is(State::Required), "required"),
        (element.is(State::InvalidEntry), "invalid"),
        (element.is(State::ReadOnly) && control, "read-only"),
        (element.is(State::Busy), "busy"),
        (element.seen.is_none(), "out of sight"),
    ]
    .into_iter()
    .filter_map(|(is, word)| is.then_some(word))
    .collect()
}

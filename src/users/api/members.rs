//! Reading what is sent about accounts.

use super::super::model::{NewUser, ProfileChanges};
use crate::config::Config;
use crate::domain::{
    Change, DisplayName, EmailAddress, Locale, Metadata, Password, PasswordAttempt, PasswordLength, Role,
    UserStatus,
};
use crate::http::body::FromMembers;
use crate::http::json::Members;

/// How many roles a request names at most.
const MAX_ROLES: usize = 100;

impl FromMembers for NewUser {
    fn from_members(members: &mut Members, config: &Config) -> Option<Self> {
        let email = members.required_string("email");
        let email = email.and_then(|text| parse_email(members, &text));
        let password = members.required_string("password");
        let password = password.and_then(|text| parse_password(members, &text, config));
        let display_name = parse_display_name(members);
        let locale = parse_locale(members);
        let metadata = parse_metadata(members);
        Some(Self {
            email: email?,
            password: password?,
            display_name: display_name.into_set(),
            locale: locale.into_set(),
            metadata: metadata.unwrap_or_default(),
        })
    }
}

impl FromMembers for ProfileChanges {
    fn from_members(members: &mut Members, config: &Config) -> Option<Self> {
        let wants_secret_change = members.has("email") || members.has("password");
        if wants_secret_change && !members.has("current_password") && config.account.require_current_password
        {
            let detail = "is required to change the e-mail address or the password";
            members.fault("current_password", "missing", detail);
        }
        let email = members
            .string("email")
            .and_then(|text| parse_email(members, &text));
        let password = members
            .string("password")
            .and_then(|text| parse_password(members, &text, config));
        let current_password = members
            .string("current_password")
            .map(|text| PasswordAttempt::parse(&text));
        let display_name = parse_display_name(members);
        let locale = parse_locale(members);
        let metadata = parse_metadata(members);
        Some(Self {
            email,
            password,
            current_password,
            display_name,
            locale,
            metadata,
        })
    }
}

/// Takes an address.
pub fn parse_email(members: &mut Members, text: &str) -> Option<EmailAddress> {
    EmailAddress::parse(text)
        .map_err(|fault| members.fault("email", fault.code(), fault.detail()))
        .ok()
}

/// Takes a new password, within the configured length.
pub fn parse_password(members: &mut Members, text: &str, config: &Config) -> Option<Password> {
    let length = PasswordLength {
        min: config.password.min_length,
        max: config.password.max_length,
    };
    Password::parse(text, &length)
        .map_err(|fault| members.fault("password", fault.code(), fault.detail()))
        .ok()
}

/// The empty text removes the name.
pub(super) fn parse_display_name(members: &mut Members) -> Change<DisplayName> {
    let Some(text) = members.string("display_name") else {
        return Change::Keep;
    };
    match DisplayName::parse(text) {
        Ok(name) => name.into(),
        Err(fault) => {
            members.fault("display_name", fault.code(), fault.detail());
            Change::Keep
        }
    }
}

/// The empty text removes the language.
pub(super) fn parse_locale(members: &mut Members) -> Change<Locale> {
    let Some(text) = members.string("locale") else {
        return Change::Keep;
    };
    match Locale::parse(&text) {
        Ok(locale) => locale.into(),
        Err(fault) => {
            members.fault("locale", fault.code(), fault.detail());
            Change::Keep
        }
    }
}

pub(super) fn parse_metadata(members: &mut Members) -> Option<Metadata> {
    let object = members.object("metadata")?;
    Metadata::from_object(object)
        .map_err(|fault| members.fault("metadata", fault.code(), fault.detail()))
        .ok()
}

/// Takes the name of a role.
pub(super) fn parse_role(members: &mut Members, text: &str) -> Option<Role> {
    Role::parse(text)
        .map_err(|fault| members.fault("role", "invalid_role", fault.to_string()))
        .ok()
}

/// Takes names of roles; each that is none is a fault of its own.
pub(super) fn parse_roles(members: &mut Members) -> Option<Vec<Role>> {
    let texts = members.strings("roles")?;
    if texts.len() > MAX_ROLES {
        members.fault("roles", "too_many", "must have at most 100 items");
        return None;
    }
    let mut roles = Vec::with_capacity(texts.len());
    for (at, text) in texts.iter().enumerate() {
        match Role::parse(text) {
            Ok(role) => roles.push(role),
            Err(fault) => members.fault_of_item("roles", at, "invalid_role", fault.to_string()),
        }
    }
    (roles.len() == texts.len()).then_some(roles)
}

/// Takes a status.
pub(super) fn parse_status(members: &mut Members) -> Option<UserStatus> {
    let text = members.string("status")?;
    let status = UserStatus::from_name(&text);
    if status.is_none() {
        members.fault("status", "not_allowed", "must be active or disabled");
    }
    status
}

use std::fmt;

/// What a detector recognises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// A United States social security number, `ddd-dd-dddd` with one separator throughout.
    Ssn,
    /// A payment card number of 13 to 19 digits that passes the Luhn check (ISO/IEC 7812-1).
    PaymentCard,
    /// An international bank account number that passes mod 97 (ISO 13616).
    Iban,
    /// An e-mail address.
    Email,
    /// A telephone number: international with `+`, or ten digits in the North American grouping.
    Phone,
    /// A JSON Web Token in compact form (RFC 7519).
    Jwt,
    /// A secret of a well-known shape: `AKIA…`, `ghp_…`, `sk-…`, `xoxb-…`.
    ApiKey,
}

impl Class {
    /// Every class, in declaration order.
    pub const ALL: &[Self] = &[
        Self::Ssn,
        Self::PaymentCard,
        Self::Iban,
        Self::Email,
        Self::Phone,
        Self::Jwt,
        Self::ApiKey,
    ];

    /// The name that policies and `masks.toml` use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ssn => "ssn",
            Self::PaymentCard => "payment_card",
            Self::Iban => "iban",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Jwt => "jwt",
            Self::ApiKey => "api_key",
        }
    }

    /// Reads the name that [`Class::as_str`] writes.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|class| class.as_str() == name)
    }

    pub(crate) const fn bit(self) -> u8 {
        match self {
            Self::Ssn => 1,
            Self::PaymentCard => 2,
            Self::Iban => 4,
            Self::Email => 8,
            Self::Phone => 16,
            Self::Jwt => 32,
            Self::ApiKey => 64,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Some of the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClassSet(u8);

impl ClassSet {
    /// No class.
    pub const NONE: Self = Self(0);

    /// The same with one more.
    #[must_use]
    pub const fn with(self, class: Class) -> Self {
        Self(self.0 | class.bit())
    }

    /// Whether a class is among them.
    #[must_use]
    pub const fn contains(self, class: Class) -> bool {
        self.0 & class.bit() != 0
    }

    /// Every class of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The classes, in declaration order.
    pub fn iter(self) -> impl Iterator<Item = Class> {
        let all = Class::ALL.iter().copied();
        all.filter(move |class| self.contains(*class))
    }

    pub(crate) const fn of_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Class> for ClassSet {
    fn from_iter<I: IntoIterator<Item = Class>>(classes: I) -> Self {
        classes.into_iter().fold(Self::NONE, Self::with)
    }
}

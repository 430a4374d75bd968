//! Names for people who do not exist. Given and family names are common ones, combined by chance, mostly within
//! one of the lists, as families are.

/// Names that go together.
pub(super) struct Names {
    pub(super) given: &'static [&'static str],
    pub(super) family: &'static [&'static str],
}

/// Māori; Samoan, Tongan, Fijian and Cook Islands; European; East, South-East and South Asian.
pub(super) const NAMES: [Names; 4] = [
    Names {
        given: &[
            "Anahera", "Aroha", "Hana", "Hēmi", "Hine", "Hinemoa", "Hoani", "Kahu", "Kiri", "Maia", "Manaia",
            "Marama", "Mere", "Mikaere", "Moana", "Ngaire", "Nikau", "Rāwiri", "Tama", "Tāne", "Tui",
            "Wiremu",
        ],
        family: &[
            "Henare", "Herewini", "Hohepa", "Karaka", "Kereama", "Matene", "Paewai", "Paraone", "Rangi",
            "Rapata", "Tamihana", "Tipene", "Waaka", "Wirihana",
        ],
    },
    Names {
        given: &[
            "Ana", "Apenisa", "Ioane", "Litia", "Losa", "Mele", "Salote", "Semisi", "Sina", "Sione",
            "Tavita", "Teuila", "Tevita", "Tiare", "Vaea", "Viliami",
        ],
        family: &[
            "Fifita", "Fonoti", "Koroi", "Latu", "Leota", "Manu", "Moala", "Pauga", "Ravula", "Sapolu",
            "Taufa", "Tere", "Vaifale", "Vave",
        ],
    },
    Names {
        given: &[
            "Anna", "Callum", "Elena", "Emma", "Greta", "Isobel", "James", "Jan", "Lukas", "Margit", "Marie",
            "Niamh", "Oliver", "Pieter", "Sofia", "Thomas", "Tomas", "William",
        ],
        family: &[
            "Baker",
            "Dubois",
            "Fraser",
            "Horvat",
            "Keller",
            "Kowalski",
            "Lindqvist",
            "Murphy",
            "Nielsen",
            "Novak",
            "Petrov",
            "Rossi",
            "Thompson",
            "van Dijk",
            "Walker",
        ],
    },
    Names {
        given: &[
            "Aisha", "Anjali", "Arjun", "Farid", "Haruto", "Ji-woo", "Linh", "Maria", "Mei", "Minh", "Priya",
            "Rohan", "Siti", "Thanh", "Wei", "Xiu", "Yuki", "Zainab",
        ],
        family: &[
            "Chen", "Ito", "Kim", "Kumar", "Li", "Nguyen", "Park", "Patel", "Rahman", "Santos", "Sato",
            "Sharma", "Singh", "Tanaka", "Tran", "Wang",
        ],
    },
];

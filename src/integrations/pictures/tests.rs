//! Pictures as cameras, browsers and attackers make them.

//! Pure functions from profiles to other forms: for people, for other tools.

"""The ledger in SQL: who took part in each answer, and the answers' traces. Imported by the app and the routes."""

"""The action reasoning model, from pixels and words to plan and actions."""

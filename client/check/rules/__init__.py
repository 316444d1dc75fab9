"""The rules, a file for each subject of the protocol document; `suite` puts them in order."""

"""The three pages for county staff: take content, look at the findings, publish. Only the hub imports this package."""

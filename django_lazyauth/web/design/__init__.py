"""How do pages look and speak? The site's brand and the language of a page; nothing here decides."""

"""Ask the vault of the moved site for a fresh token of each bundle; print what came of it as JSON.

``python -m tests.legacy.old_site.moved_tokens``
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django


def fresh_tokens() -> list[dict[str, Any]]:
    from django.utils import timezone

    from django_lazyauth.models import UpstreamToken
    from django_lazyauth.upstream.fresh_token import fresh_token

    found = []
    moved = UpstreamToken.objects.filter(client__client_id__startswith="moved-from", is_dead=False)
    for row in moved.order_by("pk"):
        # As long after the move as it takes for the upstream's token to end.
        UpstreamToken.objects.filter(pk=row.pk).update(expires_at=timezone.now())
        credential = fresh_token(row.session_id, row.provider, user_id=row.user_id, client_id=row.client_id)
        found.append(
            {
                "user": row.user_id,
                "provider": row.provider,
                "subject": credential.subject,
                "version": credential.version,
                "token": credential.access_token,
            }
        )
    return found


if __name__ == "__main__":
    django.setup()
    sys.stdout.write(json.dumps(fresh_tokens()))

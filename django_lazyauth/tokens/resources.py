"""Resource indicators, where the modules of this room look for them."""

from django_lazyauth.openid.resource_indicators import are_sound_resources as are_sound_resources
from django_lazyauth.openid.resource_indicators import audience_of as audience_of
from django_lazyauth.openid.resource_indicators import is_sound_resource as is_sound_resource
from django_lazyauth.openid.resource_indicators import lies_below as lies_below

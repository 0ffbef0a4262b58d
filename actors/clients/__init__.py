"""Typed clients of OpenAI-compatible services: chat, images, moderation."""

"""Timelines as Scope exports them, made up by us: whole ones, and parts to put together."""

from typing import Any


def entry(start: float, end: float | None, text: str, **more: Any) -> dict[str, Any]:
    return {"startTime": start, "endTime": end, "prompts": [{"text": text, "weight": 100}], **more}


def scope(version: str = "2.1", *entries: dict[str, Any], **settings: Any) -> dict[str, Any]:
    found = entries or (entry(0, 3, "a"), entry(3, 6, "b"))
    return {"version": version, "prompts": [*found], "settings": settings}


KREA = {
    "version": "2.0",
    "exportedAt": "2026-01-01T00:00:00Z",
    "prompts": [entry(0, 8.5, "a lighthouse at dawn"), entry(8.5, 17, "the lighthouse in a storm")],
    "settings": {
        "pipelineId": "krea-realtime-video",
        "resolution": {"height": 480, "width": 832},
        "seed": 42,
        "denoisingSteps": [1000, 750],
        "noiseScale": 0.7,
        "noiseController": True,
        "manageCache": True,
        "quantization": None,
    },
}
VIDEO = {
    "version": "2.1",
    "exportedAt": "2026-01-01T00:00:00Z",
    "prompts": [
        {
            "startTime": 0, "endTime": 5, "transitionSteps": 0,
            "temporalInterpolationMethod": "slerp",
            "prompts": [{"text": "fox", "weight": 70}, {"text": "robot", "weight": 30}],
        },
        {
            "startTime": 5, "endTime": 9, "transitionSteps": 6,
            "temporalInterpolationMethod": "slerp",
            "prompts": [{"text": "robot fox", "weight": 100}],
        },
    ],
    "settings": {
        "pipelineId": "streamdiffusionv2",
        "inputMode": "video",
        "resolution": {"height": 512, "width": 512},
        "denoisingSteps": [700, 500],
        "noiseScale": 0.8,
        "noiseController": False,
        "manageCache": False,
        "kvCacheAttentionBias": 0.3,
        "loras": [],
        "loraMergeStrategy": "permanent_merge",
    },
}  # fmt: skip
WORKFLOW = {
    "format": "scope-workflow",
    "format_version": "1.0",
    "metadata": {"name": "dawn", "created_at": "2026-03-06", "scope_version": "0.2"},
    "pipelines": [
        {
            "pipeline_id": "krea-realtime-video", "source": {"type": "builtin"}, "loras": [],
            "role": "main",
            "params": {
                "height": 320, "width": 576, "base_seed": 42, "denoising_step_list": [1000, 750],
                "noise_scale": 0.7, "manage_cache": True, "kv_cache_attention_bias": 0.3,
                "input_mode": "text",
            },
        },
        {"pipeline_id": "rife", "role": "postprocessor"},
    ],
    "timeline": {
        "entries": [
            {
                "start_time": 0, "end_time": 4,
                "prompts": [{"text": "fox", "weight": 50}, {"text": "owl", "weight": 50}],
            },
            {
                "start_time": 4, "end_time": 8, "prompts": [{"text": "owl", "weight": 100}],
                "transition_steps": 4, "temporal_interpolation_method": "linear",
            },
        ]
    },
    "prompts": [{"text": "owl", "weight": 100}],
    "interpolation_method": "slerp",
    "graph": {"nodes": []},
}  # fmt: skip

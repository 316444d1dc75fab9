"""What Krea's own server gets wrong must be right here: twenty-nine defects, each with its proof.

`PROVEN` names for each what must be true and the tests that say so, wherever they are; a name that
no longer exists fails here. Tests that had no better place follow below. The defects are numbered
as they were found in the reference (krea-ai/realtime-video, November 2025).
"""

import ast
import asyncio
from pathlib import Path

import httpx
import pytest
from support.engines.scripted_backend import Gate, ScriptedBackend
from support.servers.worker_server import serving
from support.viewers.raw_viewer import SMALL, connected, opened, streamed

TESTS = Path(__file__).parent
HERE = "test_reference_defects.py"

PROVEN: dict[int, tuple[str, ...]] = {
    # completed comes after the last frame
    1: (
        "end_to_end/test_raw_stream.py::test_twelve_frames_a_block_less_six_then_completed_then_new_params",
        "worker/sessions/test_session.py::test_ready_then_frames_then_completed_and_nothing_else_without_events",
    ),
    # a failure is an error in words, never completed
    2: (
        "worker/server/test_limits.py::test_a_backend_that_fails_takes_down_its_session_alone",
        "end_to_end/test_bad_input.py::test_what_is_no_params_at_all_is_a_bad_message_and_the_next_params_are_tried",
        "end_to_end/test_bad_input.py::test_bad_params_are_named_and_the_next_ones_are_tried",
    ),
    # an exception in a block ends the stream; nothing is retried for ever
    3: (
        "worker/sessions/test_session.py::test_a_backend_that_raises_in_mid_stream_ends_it_as_an_error_after_what_was_made",
        "worker/sessions/test_session_live.py::test_live_input_of_broken_pictures_alone_does_not_spin",
    ),
    # a reset takes effect whenever it comes, also after completed
    4: (
        "worker/sessions/test_session_steering.py::test_a_reset_while_a_block_is_made_flushes_at_once_what_waits_unread",
        "worker/sessions/test_session_steering.py::test_a_reset_in_the_moment_of_the_last_frame_is_never_lost",
        "end_to_end/test_raw_steering.py::test_a_reset_after_completed_starts_over",
    ),
    # reset and seed in one map: the new seed counts
    5: (
        "end_to_end/test_raw_steering.py::test_a_reset_with_another_seed_streams_that_seed_with_the_newest_prompt",
    ),
    # interp_steps 1 changes at once, n steps take n blocks
    6: (
        "end_to_end/test_raw_steering.py::test_one_step_is_an_immediate_change_and_four_are_a_ramp",
        "worker/engine/denoising/test_prompt_ramp.py::test_a_ramp_of_n_steps_takes_k_nths_and_then_stays",
    ),
    # frames tell their picture's request_id, their index and block
    7: (
        "end_to_end/test_demo_app.py::test_a_clip_is_used_picture_by_picture_and_ends_its_stream",
        "client/check/test_rules.py::test_our_worker_keeps_every_rule_and_offers_every_extension",
    ),
    # strength is steered live, seed at the next reset
    8: (
        "end_to_end/test_raw_steering.py::test_strength_is_ignored_in_text_and_decides_the_mix_in_live_input",
        "worker/engine/test_generation.py::test_strength_is_steered_live_and_ignored_without_input",
    ),
    # a start frame is bytes, of any size, and the stream completes
    9: (
        "end_to_end/test_raw_stream.py::test_a_start_frame_shows_as_bytes_as_base64_and_as_data_url",
        "worker/engine/context/test_slow_reference.py::test_start_frame_equals_the_plain_loop",
    ),
    # backpressure everywhere; pictures that nobody needs are dropped; a bad one ends nothing
    10: (
        "worker/server/test_limits.py::test_memory_stays_flat_while_a_viewer_does_not_read",
        "worker/sessions/test_input_queue.py::test_newest_keeps_what_the_next_block_needs_and_counts_what_it_drops",
        "worker/sessions/test_session_steering.py::test_what_comes_after_the_last_frame_and_starts_nothing_is_dropped",
        "end_to_end/test_bad_input.py::test_bad_pictures_in_live_input_do_not_end_the_stream",
    ),
    # streams are unbounded in constant memory
    11: (
        "worker/server/test_limits.py::test_memory_stays_flat_over_a_long_stream",
        "worker/engine/test_generation.py::test_two_hundred_blocks_hold_constant_memory_at_bounded_positions",
    ),
    # sessions never see each other's state
    12: (
        "end_to_end/test_raw_stream.py::test_two_sessions_at_once_are_each_what_they_are_alone",
        "worker/engine/test_generation.py::test_interleaved_streams_equal_their_solo_runs_bit_for_bit",
        "faults/test_peers.py::test_half_of_64_streams_misbehave_and_the_other_half_does_not_notice",
    ),
    # there is a limit and a line; a session that waits for pictures holds nobody up
    13: (
        "worker/server/test_limits.py::test_a_full_worker_turns_away_after_its_waiting_time_and_not_before",
        "worker/sessions/test_session_live.py::test_a_session_that_waits_for_pictures_holds_nobody_up",
    ),
    # no model and no codec runs on the event loop
    14: (
        f"{HERE}::test_a_block_that_takes_long_freezes_no_other_socket",
        "worker/sessions/test_session.py::test_every_call_but_the_finishing_runs_on_the_one_lane",
    ),
    # no frame is kept once it was sent; equal session ids are strangers
    15: (
        f"{HERE}::test_viewers_with_one_session_id_get_their_own_frames",
        "worker/server/test_limits.py::test_memory_stays_flat_over_a_long_stream",
    ),
    # there are no uploads, no path is opened, no URL fetched unless the operator allows it
    16: (
        f"{HERE}::test_a_start_frame_that_is_a_path_or_a_url_is_refused",
        "worker/server/test_app.py::test_nothing_else_is_served",
        "worker/clips/test_fetching.py::test_a_name_that_leads_to_a_private_address_is_refused",
    ),
    # any size
    17: (
        "end_to_end/test_raw_stream.py::test_sizes_are_snapped_and_never_refused_for_being_unaligned",
        "worker/engine/context/test_slow_reference.py::test_every_size_equals_the_plain_loop",
    ),
    # any number of context frames, without padding that is attended
    18: ("worker/engine/context/test_slow_reference.py::test_every_window_equals_the_plain_loop",),
    # the pass at t = 0 can be left out
    19: (
        "worker/engine/test_generation.py::test_skipping_the_pass_at_zero_saves_it_and_changes_little",
    ),
    # the VAE streams as Wan's own rule says
    20: (
        "worker/engine/vae/test_streaming.py::test_decoding_in_any_pieces_gives_the_bits_of_diffusers_decoding_at_once",
    ),
    # which prompt the context is computed with is a choice
    21: ("worker/engine/context/test_slow_reference.py::test_prompt_ramp_equals_the_plain_loop",),
    # a clip is used to its end, and cut to shape instead of stretched
    22: (
        "worker/sessions/test_session_live.py::test_a_clip_is_used_whole_then_padded_then_completed",
        "worker/runtime/test_pictures.py::test_the_centre_is_cut_to_the_asked_shape",
        "worker/runtime/test_pictures.py::test_shrinking_is_antialiased",
    ),
    # live input's noise follows the seed; strength has a range
    23: (
        "end_to_end/test_bad_input.py::test_bad_params_are_named_and_the_next_ones_are_tried",
        "worker/engine/denoising/test_noise.py::test_a_seed_is_one_generator_drawn_in_the_order_of_use",
    ),
    # transfers and computing do not race
    24: ("worker/engine/test_gpu.py::test_a_seed_means_the_same_latents_on_the_gpu",),
    # a seed means the same whatever the length and the device
    25: (
        f"{HERE}::test_a_longer_stream_begins_as_a_shorter_one",
        "worker/engine/test_gpu.py::test_a_seed_means_the_same_latents_on_the_gpu",
    ),
    # loading holds the weights once
    26: (
        "worker/engine/network/test_speed.py::test_fused_projections_make_the_same_latents_and_keep_no_unfused_copy",
        "worker/engine/test_checkpoint.py::test_assigning_takes_the_tensors_over_without_a_copy",
    ),
    # an attention kernel that returns noise, or is not there, is passed over
    27: (
        "worker/engine/network/test_kernels.py::test_a_kernel_that_imports_but_returns_noise_is_passed_over",
        "worker/engine/network/test_kernels.py::test_what_is_not_installed_is_not_tried",
    ),
    # nothing is computed twice in the hot loop, or waits for the device
    28: (
        "worker/engine/test_gpu.py::test_a_steady_block_never_waits_for_the_gpu",
        "worker/engine/text/test_encoder.py::test_a_text_is_encoded_once_however_it_is_spaced",
    ),
    # what is documented runs as it is
    29: (
        "end_to_end/test_command_line.py::test_each_example_runs_as_it_is",
        "protocol/test_readme.py::test_the_client_in_the_document_gets_its_frames",
    ),
}


def _tests_in(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_defect_has_its_proof() -> None:
    assert sorted(PROVEN) == list(range(1, 30)) and all(PROVEN.values())


@pytest.mark.parametrize("number", PROVEN)
def test_the_proof_exists(number: int) -> None:
    for proof in PROVEN[number]:
        file, _, name = proof.partition("::")
        assert name in _tests_in(TESTS / file), proof


async def test_a_block_that_takes_long_freezes_no_other_socket() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[1] = gate
    async with serving(backend) as worker, connected(worker.url) as viewer:
        await viewer.say(prompt="a", num_blocks=3, width=64, height=64)
        await asyncio.to_thread(gate.entered.wait, 10)
        async with connected(worker.url) as other:
            await asyncio.wait_for(await other.socket.ping(), 15)
            await other.say(prompt=" ")
            assert "error" in await other.next()
        async with httpx.AsyncClient(trust_env=False, timeout=15) as client:
            assert (await client.get(f"{worker.http}/health")).json()["sessions"] == 1
        gate.open()
        await viewer.stream()


async def test_viewers_with_one_session_id_get_their_own_frames() -> None:
    async with serving() as worker:
        url = worker.url.removesuffix("/ws") + "/session/ours"

        async def frames(prompt: str) -> list[bytes]:
            async with opened(url) as viewer:
                assert (await viewer.next())["status"] == "ready"
                await viewer.say(prompt=prompt, seed=1, num_blocks=3, **SMALL)
                received = await viewer.stream()
                assert received.last["session_id"] == "ours"
                return received.frames

        solo = [await streamed(worker.url, prompt=p, seed=1, num_blocks=3) for p in ("a", "b")]
        assert await asyncio.gather(frames("a"), frames("b")) == solo


@pytest.mark.parametrize(
    "value", ["/etc/hostname", "file:///etc/hostname", "http://127.0.0.1:1/a.jpg", "C:\\a.jpg"]
)
async def test_a_start_frame_that_is_a_path_or_a_url_is_refused(value: str) -> None:
    async with serving() as worker, connected(worker.url) as viewer:
        await viewer.say(prompt="a", start_frame=value)
        answer = await viewer.next()
        assert answer["error"][0]["loc"] == ["start_frame"]
        assert value not in answer["reason"]


async def test_a_longer_stream_begins_as_a_shorter_one() -> None:
    async with serving() as worker:
        short = await streamed(worker.url, prompt="a", seed=5, num_blocks=1)
        assert (await streamed(worker.url, prompt="a", seed=5, num_blocks=3))[:6] == short

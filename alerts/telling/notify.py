"""Telling one receiver once, in the way of its kind.

Flows in: a delivery that is due, or a person's wish to test a receiver. Flows out: an alert told, or the error that
says why not. Stops before deciding when to try again (`notifying`), and before the ways themselves (`kinds`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy import Engine

from alerts.places import outlines
from alerts.settings import NotifierSettings
from alerts.telling.deliveries import Due
from alerts.telling.kinds.kind import Bundle, Pictures, Telling, no_bundle, no_pictures
from alerts.telling.receivers import Receiver
from alerts.telling.recipients import RecordedRecipients
from alerts.telling.told import earlier
from schemas.database import reading
from schemas.geometry import to_geojson
from schemas.messages import Alert, Incident, IncidentState, Match, Mode, stable_id

TEST_CELL = "31NAA8833"
"""Where test messages say that it is: in the sea off West Africa, near 0° N 0° E, where nobody is alarmed."""


def tell(
    engine: Engine,
    receiver: Receiver,
    due: Due,
    settings: NotifierSettings,
    pictures: Pictures = no_pictures,
    bundle: Bundle = no_bundle,
) -> None:
    """Attempt a delivery.

    Args:
        engine: The database.
        receiver: Whom to tell.
        due: What to tell.
        settings: Timeouts, and who answers for it.
        pictures: Draws an alert.
        bundle: Packs its evidence.

    Raises:
        DeliveryFailed: it was not taken; a later attempt may succeed.
        DeliveryRefused: it will never be taken.
    """
    recipients = RecordedRecipients(engine, due.delivery_id)
    if due.attempt == 1:
        recipients.ask_again()
    with reading(engine) as session:
        before = earlier(session, due.told)
    receiver.way.tell(
        Telling(
            receiver.name,
            str(due.delivery_id),
            due.alerts,
            settings,
            occasion=due.occasion,
            earlier=before,
            recipients=recipients,
            pictures=pictures,
            bundle=bundle,
        )
    )


def send_test(receiver: Receiver, settings: NotifierSettings) -> None:
    """Send a marked test message, once; nothing of it is kept.

    Raises:
        DeliveryFailed: it was not taken.
        DeliveryRefused: it will never be taken.
    """
    receiver.way.tell(
        Telling(receiver.name, str(uuid4()), (trial_alert(receiver.name, datetime.now(UTC)),), settings, is_test=True)
    )


def trial_alert(receiver: str, now: datetime) -> Alert:
    """An alert about nothing, like a real one in everything else; the same id for every test of a receiver."""
    query_id, sensed_at = stable_id("test", "query"), now - timedelta(hours=1)
    match = Match(
        query_id=query_id,
        query_version=1,
        cell=TEST_CELL,
        acquisition_id=stable_id("test", "acquisition"),
        physical_key="test",
        item_id="test-item",
        sensor="s2",
        sensing_at=sensed_at,
        score=0.5,
        presence=0.5,
        threshold=0.4,
        baseline_count=1,
    )
    incident = Incident(
        incident_id=stable_id("test", "incident", receiver),
        query_id=query_id,
        query_version=1,
        state=IncidentState.OPENED,
        cells=(TEST_CELL,),
        sensors=("s2",),
        item_ids=("test-item",),
        first_sensing_at=sensed_at,
        last_sensing_at=sensed_at,
        opened_at=now,
        score=0.5,
    )
    return Alert(
        alert_id=stable_id("test", "alert", receiver),
        sequence=1,
        kind=IncidentState.OPENED,
        query="test message, nothing has happened",
        mode=Mode.APPEARANCE,
        incident=incident,
        geometry=to_geojson(outlines([TEST_CELL])[0]),
        matches=(match,),
        sent_at=now,
        simulated=True,
    )

"""Every bound in one place: unit and _MAX last, the reason beside it, relations checked on import."""

from fieldpost.compat import const

# --- ring: bytes on flash -----------------------------------------------------------------------
# One 256-byte page holds a whole frame, so that one program command commits it.
RECORD_BYTES_MAX = const(220)
# One sector open, one erased ahead, and at least one that can hold something.
RING_SECTORS_MIN = const(3)
RING_SECTORS_MAX = const(65_535)  # the header's field; nothing in RAM grows with it

# Where a sync is dear (files on littlefs), readings share one: so many, or so old, are lost at the most.
GROUP_RECORDS = const(16)
GROUP_AGE_MS_MAX = const(10_000)

READING_FLASH_BYTES = const(28)  # a BME280's, with its frame, on parts with units of 4 bytes

# --- records: what the bytes mean ---------------------------------------------------------------
STAMP_BYTES = const(8)  # boot (u24) and uptime in ms (u40)
RESULT_TEXT_BYTES_MAX = const(200)  # a command's answer is one record
ANCHORS_REMEMBERED_MAX = const(16)  # boots whose clock is held in RAM at one time
SEARCH_RECORDS_MAX = const(64)  # records looked at in one step when a boot's clock or a schema is sought
SCHEMAS_REMEMBERED_MAX = const(4)  # schemas of older firmware held in RAM at one time
LOOKUPS_PER_BATCH_MAX = const(8)  # records of one message that may wait for a boot's clock or a schema to be found

# --- agent: the loop ----------------------------------------------------------------------------
IDLE_WAIT_MS_MAX = const(100)  # one turn of the loop sleeps no longer than this, unless the configuration says so
IDLE_WAIT_MS_LONGEST = const(1000)  # and never longer than this: the watchdog is to be fed
HEALTHY_AGE_MS_MAX = const(30_000)  # a duty that has not moved for so long stops the watchdog's food
CLOCK_RETRY_MS = const(5_000)  # between two questions to a time server
CLOCK_AGREE_MS = const(60_000)  # two time servers that are no further apart agree
CLOCK_TRIES = const(4)  # questions without an answer, before the confirmed time of an earlier boot must do
CLOCK_SILENT_RETRY_MS = const(64_000)  # where it does: RFC 5905 section 7.3 has servers polled no more often than this
CLOCK_UNCONFIRMED_REFRESH_MS = const(60_000)  # while no connection has confirmed what a time server said
UTC_MS_MIN = 1_735_689_600_000  # 2025-01-01, before this firmware was made: no right clock says less
STEP_BACK_MS_MAX = const(86_400_000)
SIGN_AHEAD_MS = 30 * 86_400_000  # a device may have been off for so long, and still sign where it gets no time
CLOCK_REFRESH_MS = const(6 * 3600 * 1000)  # a quartz of 20 ppm drifts by 0.4 s in this time
SENSOR_RETRY_MS = const(2_000)  # between two tries to find an absent sensor
ALARM_INTERVAL_MS = const(60_000)  # between two alarms for the same thing
SENSOR_CONVERSION_MS_MAX = const(200)  # BST-BME280-DS002 appendix B: 112.8 ms at the highest oversampling

assert RESULT_TEXT_BYTES_MAX + STAMP_BYTES <= RECORD_BYTES_MAX

# --- ports: Wi-Fi and time ----------------------------------------------------------------------
NTP_WAIT_MS = const(3_000)  # a round trip to a time server
WIFI_JOIN_MS_MAX = const(25_000)  # scanning, four-way handshake and DHCP; slow access points take 15 s
WIFI_PAUSE_MS = const(1_000)  # between disconnect and connect: the radio's driver wants it
WIFI_PAUSE_MS_MAX = const(30_000)
WIFI_ATTEMPTS_BEFORE_RESTART = const(3)
WIFI_STUCK_ATTEMPTS = const(30)  # each up to WIFI_JOIN_MS_MAX, restarts of the radio among them

# --- memory on boards ---------------------------------------------------------------------------
GC_THRESHOLD_BYTES = const(16_384)  # collect before garbage breaks up the 16.7 KB run that TLS needs

# --- commands: what the cloud may ask for ---------------------------------------------------------
HUB_PENDING_MAX = const(50)  # IoT Hub holds so many messages for a device and refuses the next
COMMANDS_WANTED_MAX = const(8)  # that many wait in RAM; the link is then not read until one is done
COMMANDS_QUEUED_MAX = const(16)  # of which none can be refused: one chunk read holds no more small ones
COMMAND_NAME_CHARS_MAX = const(32)  # of a name echoed in an answer
JOURNAL_ENTRIES_MAX = const(128)  # command ids remembered: more than the hub can hold back and deliver again
# Four hold the longest answers to all commands that the hub may hold back, one in a page; one is open, one erased.
URGENT_SECTORS_MIN = const(6)
JOURNAL_SECTORS_MIN = const(4)  # two of them are full for certain: 380 notes, three for an id at the most
PINS_MAX = const(32)
PIN_NAME_CHARS_MAX = const(24)
PATTERN_DURATIONS_MAX = const(32)
PWM_HZ_MAX = const(40_000)
REBOOT_DELAY_MS = const(2_000)  # for the answer, and the acknowledgement behind it, to leave first
PULSE_MS_MAX = const(3_600_000)  # a pulse holds up the commands behind it, so an hour is generous

# --- settings and twins ---
SAMPLE_MS_MIN = const(50)
SAMPLE_MS_MAX = const(86_400_000)
BATCH_RECORDS_MAX = const(200)
QUANTITY_NAME_CHARS_MAX = const(24)
SENSORS_MAX = const(8)
TRIAL_MS = const(600_000)  # until new settings must have proved good, if the configuration says nothing else
TRIAL_S_MIN = const(10)
TRIAL_S_MAX = const(86_400)
TRIAL_BOOTS_MAX = const(2)
DESIRED_WAIT_MS = const(1_000)  # between two looks whether a pin may go to its desired level now
DESIRED_RETRY_MS = const(60_000)  # after a refusal that another moment may change; doubled each time
DESIRED_RETRY_MS_MAX = const(3_600_000)
DESIRED_KEEP_MS = const(10_000)  # what is due within this time is waited for: loading takes longer than looking
TWIN_LEVEL_INTERVAL_MS = const(10_000)  # between two looks whether a desired pin's level is another than reported
TWIN_ANSWER_MS_MAX = const(20_000)
TWIN_RETRY_MS = const(10_000)
TWIN_REPORT_INTERVAL_MS = const(3_600_000)

# --- configuration --------------------------------------------------------------------------------
CONFIG_BYTES_MAX = const(8192)  # of either file; a CA certificate in base64 takes 1 to 3 KB
CA_BYTES_MAX = const(4096)
ROOTS_MAX = const(4)  # each takes 1 to 2.5 KB of heap once it is parsed
ROOTS_ADDED_MAX = const(2)  # over the air, beside the identity's
CERTIFICATE_BYTES_MAX = const(2048)  # a device's, EC P-256: about 400 bytes
PRIVATE_KEY_BYTES_MAX = const(1536)  # EC P-256: 138 bytes

assert JOURNAL_ENTRIES_MAX >= 2 * HUB_PENDING_MAX

# --- uplink: batches, window, session -----------------------------------------------------------
WINDOW_BATCHES_MAX = const(64)
URGENT_WINDOW_BATCHES = const(4)
PACKET_ID_MAX = const(65_535)  # MQTT 3.1.1 section 2.3.1
BATCH_BYTES_MAX = const(4_096)  # IoT Hub meters in blocks of 4 KB
# One record: an unknown one in hexadecimal, its stamp in decimal, and their names; as SenML an answer of quotes alone.
RECORD_TEXT_BYTES_MAX = const(2 * (220 - 8) + 160)
LOST_RANGES_PER_BATCH_MAX = const(8)
BATCH_TAIL_BYTES_MAX = const(16)  # brackets and a name; each range of lost numbers takes up to LOST_RANGE_BYTES_MAX
LOST_RANGE_BYTES_MAX = const(54)  # as SenML
# The smallest body that is allowed must hold the largest record, or that record would stay for ever.
BATCH_BYTES_MIN = const(1_024)
SENML_BYTES_MIN = const(2_048)  # a reading of 22 quantities, the most that a schema can name, as SenML
FORGET_INTERVAL_MS = const(2_000)  # a cut repeats at most what was confirmed in this time
PUBACK_TIMEOUT_MS = const(20_000)  # IoT Hub shapes traffic by late PUBACKs; past this it is not there
SUBACK_TIMEOUT_MS = const(20_000)
BACKOFF_FIRST_MS = const(1_000)
BACKOFF_FIRST_TIMES = const(3)  # attempts before it doubles: a restarted hub is back within seconds
BACKOFF_CEILING_MS = const(60_000)
PACE_SLOW_PER_S = const(8)  # messages: who sends fewer has not annoyed a hub that takes 100
PACE_LEAST_PER_S = const(2)
PACE_FAST_PER_S = const(1_000)  # past this nothing is held back any more
PACE_GROWTH_MS = const(1_000)
CHUNK_RECORDS = const(512)  # newest first: looking for a place in flash costs as much as reading 100 records
SESSION_STABLE_MS = const(30_000)
CLOCK_WAIT_MS = const(500)  # between two looks at the clock when nothing can be signed without it
SAS_TTL_S = const(3_600)
DPS_ANSWER_MS = const(30_000)  # as the vendor's SDK waits
DPS_RETRY_MS = const(3_000)  # where the service names no time: the retry-after that it usually names
DPS_RETRY_MS_MAX = const(60_000)
DPS_REFUSALS_MAX = const(2)  # of the assigned hub, before the service is asked again
DPS_FAILURES_MAX = const(10)  # to reach it, a name that nobody knows among them
RENEW_QUIET_PERCENT = const(85)  # of a password's life: from here on in the first quiet moment
RENEW_LATEST_PERCENT = const(95)

# --- links: MQTT over TLS -----------------------------------------------------------------------
CONNECT_TIMEOUT_MS = const(20_000)  # name, TCP, an RSA handshake of 5 s on a slow chip
CONNACK_TIMEOUT_MS = const(60_000)  # IoT Hub shapes a burst of connections by late CONNACKs (azure-iot-sdk-csharp#2043)
DNS_FIRST_WAIT_MS = const(1_000)  # before a question is repeated; then 2, 4, ... s, as lwIP and glibc do
DNS_WAIT_MS_MAX = const(12_000)  # leaves the rest of a connection's time to the handshake
DNS_ANSWER_BYTES_MAX = const(512)  # RFC 1035 section 2.3.4
PING_TIMEOUT_MS = const(10_000)
WRITE_STALL_MS_MAX = const(20_000)
EVENT_TOPIC_BYTES_MAX = const(384)  # a topic template of 200, a device id of 128, a message id
MESSAGE_ID_BYTES_MAX = const(48)
PUBLISH_HEAD_BYTES_MAX = const(EVENT_TOPIC_BYTES_MAX + 8)  # a length of two bytes, the topic's own, a packet id
OUT_BUFFER_BYTES = const(1_280)  # larger packets leave from where they were made
# What is left for acknowledgements and pings when publishes have filled the buffer: those of all queued commands
# and of one chunk read, for an answer is never longer than what it answers.
OUT_RESERVED_BYTES = const(384)
OUT_PUBLISH_BYTES = const(OUT_BUFFER_BYTES - OUT_RESERVED_BYTES)
COMMAND_BYTES_MAX = const(2_048)  # a command with its properties; larger messages are refused
INBOUND_BYTES_MAX = const(4_096)  # where there are twins
INBOUND_RESTING_BYTES = const(512)  # of the place for packets that is always there; larger ones get their own
INBOUND_HEAD_BYTES = const(1_024)  # kept of a packet that is too large: its topic, which says what is refused
READ_CHUNK_BYTES = const(256)
WEBSOCKET_FRAME_BYTES_MAX = const(4_088)  # with its head one TLS record of a board
WEBSOCKET_HEAD_BYTES_MAX = const(1_024)  # of the server's answer to the handshake
MESSAGE_BYTES_MAX = const(262_144)  # where memory is plenty; IoT Hub sends at most 64 KB, no broker needs more
READS_PER_STEP_MAX = const(16)  # a flood must not keep the sensor waiting

assert DNS_WAIT_MS_MAX < CONNECT_TIMEOUT_MS
assert BATCH_BYTES_MIN >= BATCH_TAIL_BYTES_MAX + 2 * LOST_RANGE_BYTES_MAX + RECORD_TEXT_BYTES_MAX + 32
assert BATCH_BYTES_MAX + PUBLISH_HEAD_BYTES_MAX < 1 << 14  # two bytes tell its length (MQTT 3.1.1 section 2.2.3)
assert OUT_RESERVED_BYTES >= 4 * COMMANDS_QUEUED_MAX + READ_CHUNK_BYTES + 16

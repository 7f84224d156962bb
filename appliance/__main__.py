"""`python -m appliance`: the command line, as the service starts it for its own work."""

from appliance.cli import main

main()

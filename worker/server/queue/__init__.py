"""fal's queue: jobs that are submitted, waited for and fetched in calls of their own."""

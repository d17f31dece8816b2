"""What everything else stands on: clips, cameras, video files, errors; imports nothing of Reverie."""

"""The bimanual YAM station in MuJoCo: scene, cameras, tasks, demonstrations, a Robot made of it."""

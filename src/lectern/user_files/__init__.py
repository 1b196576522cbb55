"""Read the images and texts of users, and check the paths of the files that commands create for users."""

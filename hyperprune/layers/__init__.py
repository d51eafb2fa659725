"""Small pieces that recurrent networks share: dropouts, cells, losses. For plugin authors too."""
